// String instructions and their repeat prefixes. Every iteration leaves the registers as the architecture has them between
// iterations, so that a fault, an interrupt or the end of the budget in the middle needs no special care.
import { type Instruction, OpKind, Register } from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { CC } from "../lazy_flags.ts";
import { FLAGS_REST } from "../layout.ts";
import { operandSize } from "./operand_size.ts";
import { type Access, addressSegment } from "./segments.ts";
import type { Size, Translation } from "./translation.ts";
import { I64, type Local } from "./wasm.ts";

const RAX = 0, RCX = 1, RSI = 6, RDI = 7;

/** What one kind of string instruction does in an iteration. `compares` ends REPE and REPNE on ZF. */
export interface StringOperation {
  readonly source: "memory" | "accumulator";
  readonly destination: "memory" | "accumulator";
  readonly compares: boolean;
}

/** Address size, by the kind of the operand that names RSI or RDI. */
function addressBits(insn: Instruction): 16 | 32 | 64 {
  for (let operand = 0; operand < insn.opCount; operand++) {
    switch (insn.opKind(operand)) {
      case OpKind.MemorySegSI:
      case OpKind.MemoryESDI:
        return 16;
      case OpKind.MemorySegESI:
      case OpKind.MemoryESEDI:
        return 32;
      case OpKind.MemorySegRSI:
      case OpKind.MemoryESRDI:
        return 64;
    }
  }
  throw new Error("Not a string instruction");
}

/** A temporary with the linear address of the element that RSI (read) or RDI names. */
function pointer(
  t: Translation,
  index: typeof RSI | typeof RDI,
  bits: 16 | 32 | 64,
  size: Size,
  access: Access,
): Local {
  const at = t.f.temporary(I64);
  t.getPart(index, bits);
  t.linear(index === RSI ? addressSegment(t) : Register.ES, size, access, bits);
  t.f.set(at);
  return at;
}

/** Moves RSI or RDI by one element, up or down as DF says. */
function advance(t: Translation, index: number, bits: 16 | 32 | 64, size: Size): void {
  const { f } = t;
  t.getGpr(index);
  f.i64(size);
  f.i64(-size);
  f.i32(0);
  f.memory("i64_load", FLAGS_REST);
  f.i64(RFLAGS.DF);
  f.op("i64_and", "i64_eqz", "select", "i64_add");
  t.setPart(index, bits);
}

function iteration(
  t: Translation,
  operation: StringOperation,
  size: Size,
  bits: 16 | 32 | 64,
): void {
  const { f } = t;
  const { source, destination, compares } = operation;
  const [first, second, result] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
  const readAccumulator = () => {
    t.getGpr(RAX);
    t.cut(size);
  };
  const readSource = () => {
    if (source === "accumulator") return readAccumulator();
    const at = pointer(t, RSI, bits, size, "read");
    t.load(at, size);
    f.release(I64, at);
  };
  readSource();
  f.set(first);
  if (compares) {
    const at = pointer(t, RDI, bits, size, "read");
    t.load(at, size);
    f.set(second);
    f.release(I64, at);
    f.get(first);
    f.get(second);
    f.op("i64_sub");
    t.cut(size);
    f.set(result);
  } else if (destination === "memory") {
    const at = pointer(t, RDI, bits, size, "write");
    t.store(at, size, first);
    f.release(I64, at);
  }
  // Nothing faults from here on.
  if (source === "memory") advance(t, RSI, bits, size);
  if (destination === "memory") advance(t, RDI, bits, size);
  else {
    f.get(first);
    t.setRegister(accumulator(size));
  }
  if (compares) t.setFlags(CC.SUB, size, result, second);
  f.release(I64, first, second, result);
}

function accumulator(size: Size): Register {
  return size === 1
    ? Register.AL
    : size === 2
    ? Register.AX
    : size === 4
    ? Register.EAX
    : Register.RAX;
}

function stringSize(insn: Instruction, operation: StringOperation): Size {
  return operandSize(insn, operation.destination === "accumulator" ? 1 : 0);
}

export function stringInstruction(operation: StringOperation) {
  return (t: Translation): void => {
    const { f } = t;
    const { insn } = t.site;
    const size = stringSize(insn, operation);
    const bits = addressBits(insn);
    const repeats = insn.hasRepPrefix || insn.hasRepnePrefix;
    if (!repeats) return iteration(t, operation, size, bits);

    t.settleFlags();
    t.knownOp = undefined;
    const done = f.open("block");
    t.getPart(RCX, bits);
    f.op("i64_eqz");
    f.branch("br_if", done);
    const again = f.open("loop");
    iteration(t, operation, size, bits);
    t.getPart(RCX, bits);
    f.i64(1);
    f.op("i64_sub");
    t.setPart(RCX, bits);
    t.settleFlags();
    if (operation.compares) {
      zeroFlag(t);
      if (!insn.hasRepnePrefix) f.op("i32_eqz");
      f.branch("br_if", done);
    }
    t.knownOp = undefined;
    t.getPart(RCX, bits);
    f.op("i64_eqz");
    f.branch("br_if", done);
    t.chargeIteration();
    f.branch("br", again);
    f.end();
    f.end();
  };
}

/** Leaves ZF of the comparison just made. */
function zeroFlag(t: Translation): void {
  t.condition(ZERO);
}
/** ConditionCode.e: iced's enumeration starts at None, o, no, b, ae. */
const ZERO = 5;

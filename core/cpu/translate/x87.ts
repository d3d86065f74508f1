// x87 instructions: done in TypeScript (../x87), on operands that translated code fetches and stores. FNSTSW AX and WAIT alone
// are done here; what moves the environment is left to the run loop.
import { Code, type Instruction, Register } from "iced-x86";
import * as L from "../layout.ts";
import { type Operation, SETTLE, stackIndex, x87Operation } from "../x87/instructions.ts";
import { lastOpcode } from "../x87/opcode.ts";
import { AT, STATUS } from "../x87/registers.ts";
import { LEAVE } from "./runtime.ts";
import { addressSegment } from "./segments.ts";
import type { Size, Translation } from "./translation.ts";
import { checkBothPages } from "./two_pages.ts";
import { I64, type Local, VOID } from "./wasm.ts";

type Emit = (t: Translation) => void;

/** Offset of the part of an 80-bit operand that is beyond 64 bits. */
const UPPER = 8;

/** The emitter of an x87 instruction; undefined for what is none, or is not translated. */
export function x87Emitter(insn: Instruction): Emit | undefined {
  // Asked of every instruction: the code is fetched once.
  const { code } = insn;
  if (code === Code.Wait) return wait;
  if (code === Code.Fnstsw_AX) return statusToAx;
  const operation = x87Operation(code);
  return operation && ((t) => {
    if (t.mode.x87Fault !== undefined) return t.raise(t.mode.x87Fault);
    if (operation.waits) checkPending(t);
    operate(t, operation);
    if (operation.counts) point(t, operation);
    if (t.mode.pendingFault === undefined) leaveWithError(t);
  });
}

/** #MF where an instruction before has left an unmasked exception. */
export function checkPending(t: Translation): void {
  const { pendingFault } = t.mode;
  if (pendingFault === undefined) return;
  t.f.i32(0);
  t.f.memory("i64_load8_u", AT.status);
  t.f.i64(STATUS.ES);
  t.f.op("i64_and", "i64_eqz", "i32_eqz");
  t.f.open("if");
  t.raise(pendingFault);
  t.f.end();
}

/** The board has been told of an exception: its interrupt is to come as soon as it may. */
function leaveWithError(t: Translation): void {
  const { site } = t;
  t.f.i32(0);
  t.f.memory("i64_load8_u", AT.status);
  t.f.i64(STATUS.ES);
  t.f.op("i64_and", "i64_eqz", "i32_eqz");
  t.f.open("if");
  t.leave(LEAVE.budget, site.next, site.unexecuted - 1);
  t.f.end();
}

const wait: Emit = (t) => {
  if (t.mode.waitFault !== undefined) return t.raise(t.mode.waitFault);
  checkPending(t);
};

const statusToAx: Emit = (t) => {
  if (t.mode.x87Fault !== undefined) return t.raise(t.mode.x87Fault);
  t.f.i32(0);
  t.f.memory("i64_load16_u", AT.status);
  t.setRegister(Register.AX);
};

function operate(t: Translation, { memory, bytes, flags }: Operation): void {
  const { f, site: { insn } } = t;
  const at = memory && t.address(bytes, memory === "load" ? "read" : "write");
  if (at !== undefined && memory === "load") {
    forParts(t, at, bytes, (place, size, offset) => {
      f.i32(0);
      t.load(place, size);
      f.memory("i64_store", L.X87_OPERAND + offset);
    });
  }
  if (flags) {
    f.i32(0);
    t.flagBits();
    f.memory("i64_store", L.SIMD_FLAGS);
  }
  f.i32(insn.code);
  f.i32(stackIndex(insn));
  t.call("x87");
  if (at === undefined || memory === "load") f.op("drop");
  else {
    f.open("if", VOID);
    storeOperand(t, at, bytes);
    f.i32(SETTLE);
    f.i32(0);
    t.call("x87");
    f.op("drop");
    f.end();
  }
  if (at !== undefined) f.release(I64, at);
  if (flags !== "writes") return;
  f.i32(0);
  f.memory("i64_load", L.SIMD_FLAGS);
  t.setFlagBits();
}

/** An operand of 80 bits is moved in two parts. */
function forParts(
  t: Translation,
  at: Local,
  bytes: number,
  move: (place: Local, size: Size, offset: number) => void,
): void {
  if (bytes <= UPPER) return move(at, bytes as Size, 0);
  const upper = t.f.temporary(I64);
  t.f.get(at);
  t.f.i64(UPPER);
  t.f.op("i64_add");
  if (t.mode.bits !== 64) t.cutTo(32);
  t.f.set(upper);
  move(at, 8, 0);
  move(upper, 2, UPPER);
  t.f.release(I64, upper);
}

function storeOperand(t: Translation, at: Local, bytes: number): void {
  const { f } = t;
  const value = f.temporary(I64);
  if (bytes > UPPER) checkBothPages(t, at, bytes);
  forParts(t, at, bytes, (place, size, offset) => {
    f.i32(0);
    f.memory("i64_load", L.X87_OPERAND + offset);
    t.cut(size);
    f.set(value);
    t.store(place, size, value);
  });
  f.release(I64, value);
}

/** Keeps where the instruction and its operand are. */
function point(t: Translation, { memory }: Operation): void {
  const { f, site: { insn, rip } } = t;
  const put = (at: number, store: "i64_store" | "i64_store16", value: () => void) => {
    f.i32(0);
    value();
    f.memory(store, at);
  };
  const selector = (segment: Register) => {
    f.i32(0);
    f.memory(
      "i64_load16_u",
      L.SEGMENTS + L.SEGMENT_STRIDE * (segment - Register.ES) + L.SEGMENT_SELECTOR,
    );
  };
  put(AT.instruction, "i64_store", () => f.i64(BigInt.asIntN(64, rip)));
  put(AT.opcode, "i64_store16", () => f.i64(lastOpcode(insn, stackIndex(insn))));
  put(AT.codeSelector, "i64_store16", () => selector(Register.CS));
  if (!memory) return;
  put(AT.operand, "i64_store", () => t.effectiveAddress());
  put(AT.dataSelector, "i64_store16", () => selector(addressSegment(t)));
}

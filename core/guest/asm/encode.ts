// A form and its operands to bytes, by iced's encoder.
import { Encoder, Instruction, OpKind, Register } from "iced-x86";
import type { EncodedAddress } from "./address.ts";
import type { Form } from "./forms.ts";
import { KINDS } from "./kinds.ts";
import { registerClass, resized } from "./registers.ts";
import type { Resolved } from "./select.ts";
import type { Value } from "./value.ts";

export interface Encoding {
  readonly form: Form;
  readonly operands: readonly Resolved[];
  readonly bits: 16 | 32 | 64;
  readonly here: bigint;
  /** LOCK, REP and REPNE, and size prefixes that are no part of the form: bytes in the order written. */
  readonly prefixes: readonly number[];
  /** Segment prefix of a string instruction, or Register.None. */
  readonly segment: number;
  /** Address size of a string instruction, in bits. */
  readonly addressSize: 16 | 32 | 64;
}

const encoders = new Map<number, Encoder>();

function encoderFor(bits: number): Encoder {
  let encoder = encoders.get(bits);
  if (!encoder) encoders.set(bits, encoder = new Encoder(bits));
  return encoder;
}

/** The bytes, or what iced has against it. */
export function encode(encoding: Encoding): Uint8Array | string {
  const { form, bits, here, prefixes } = encoding;
  const instruction = new Instruction();
  const encoder = encoderFor(bits);
  try {
    instruction.code = form.code;
    if (form.understood) setUnderstood(instruction, form.understood, encoding);
    else setOperands(instruction, encoding);
    const start = BigInt.asUintN(bits, here + BigInt(prefixes.length));
    encoder.encode(instruction, start);
    const bytes = encoder.takeBuffer();
    if (prefixes.length === 0) return bytes;
    const all = new Uint8Array(prefixes.length + bytes.length);
    all.set(prefixes);
    all.set(bytes, prefixes.length);
    return all;
  } catch (error) {
    encoder.takeBuffer();
    return error instanceof Error ? error.message : String(error);
  } finally {
    instruction.free();
  }
}

function setOperands(instruction: Instruction, { form, operands, bits }: Encoding): void {
  let kinds = form.kinds;
  let written = operands;
  if (form.swapped) {
    kinds = [...kinds].reverse();
    written = [...operands].reverse();
  }
  const [first, second] = written;
  if (form.ten) {
    instruction.setOpKind(0, OpKind.Immediate8);
    instruction.immediate8 = 10;
    return;
  }
  if (form.doubled && first?.is === "register") {
    kinds = [kinds[0] ?? "", kinds[0] ?? "", kinds[1] ?? ""];
    written = second ? [first, first, second] : [first];
  }
  let immediates = 0;
  for (let i = 0; i < written.length; i++) {
    const operand = written[i];
    const kind = kinds[i] ?? "";
    if (!operand) continue;
    switch (operand.is) {
      case "register": {
        const as = form.registersAs;
        instruction.setOpKind(i, OpKind.Register);
        instruction.setOpRegister(i, as === 0 ? operand.register : resized(operand.register, as));
        break;
      }
      case "memory":
        instruction.setOpKind(i, OpKind.Memory);
        setAddress(instruction, operand.address);
        break;
      case "far":
        setFar(instruction, kind, operand.selector, operand.offset);
        break;
      case "immediate":
        if (KINDS[kind]?.branch) setBranch(instruction, kind, operand.value, bits);
        else setImmediate(instruction, i, kind, operand.value, immediates++);
    }
  }
}

function setAddress(instruction: Instruction, address: EncodedAddress): void {
  instruction.memoryBase = address.base;
  instruction.memoryIndex = address.index;
  instruction.memoryIndexScale = address.scale;
  instruction.memoryDisplSize = address.displacementSize;
  const n = address.displacement.n;
  // iced wants an 8-bit displacement sign-extended to the address, and a longer one within it.
  instruction.memoryDisplacement = address.base === Register.RIP || address.displacementSize === 8
    ? n
    : address.displacementSize === 1
    ? BigInt.asIntN(8, n)
    : BigInt.asUintN(address.addressSize, n);
  if (address.segment !== Register.None) instruction.segmentPrefix = address.segment;
}

function setFar(instruction: Instruction, kind: string, selector: Value, offset: Value): void {
  const wide = kind === "farbr4_2";
  instruction.setOpKind(0, wide ? OpKind.FarBranch32 : OpKind.FarBranch16);
  instruction.farBranchSelector = Number(BigInt.asUintN(16, selector.n));
  if (wide) instruction.farBranch32 = Number(BigInt.asUintN(32, offset.n));
  else instruction.farBranch16 = Number(BigInt.asUintN(16, offset.n));
}

function setBranch(instruction: Instruction, kind: string, target: Value, bits: number): void {
  const size = KINDS[kind]?.branch?.bits ?? bits;
  if (kind.startsWith("xbegin")) {
    instruction.setOpKind(
      0,
      bits === 64 ? OpKind.NearBranch64 : bits === 32 ? OpKind.NearBranch32 : OpKind.NearBranch16,
    );
    if (bits === 64) instruction.nearBranch64 = target.n;
    else if (bits === 32) instruction.nearBranch32 = Number(BigInt.asUintN(32, target.n));
    else instruction.nearBranch16 = Number(BigInt.asUintN(16, target.n));
    return;
  }
  if (size === 64) {
    instruction.setOpKind(0, OpKind.NearBranch64);
    instruction.nearBranch64 = BigInt.asUintN(64, target.n);
  } else if (size === 32) {
    instruction.setOpKind(0, OpKind.NearBranch32);
    instruction.nearBranch32 = Number(BigInt.asUintN(32, target.n));
  } else {
    instruction.setOpKind(0, OpKind.NearBranch16);
    instruction.nearBranch16 = Number(BigInt.asUintN(16, target.n));
  }
}

function setImmediate(
  instruction: Instruction,
  operand: number,
  kind: string,
  value: Value,
  nth: number,
): void {
  const low = (bits: number) => Number(BigInt.asUintN(bits, value.n));
  const signed = (bits: number) => Number(BigInt.asIntN(bits, value.n));
  switch (kind) {
    case "imm8sex16":
      instruction.setOpKind(operand, OpKind.Immediate8to16);
      instruction.immediate8to16 = signed(8);
      break;
    case "imm8sex32":
      instruction.setOpKind(operand, OpKind.Immediate8to32);
      instruction.immediate8to32 = signed(8);
      break;
    case "imm8sex64":
      instruction.setOpKind(operand, OpKind.Immediate8to64);
      instruction.immediate8to64 = BigInt.asIntN(8, value.n);
      break;
    case "imm16":
      instruction.setOpKind(operand, OpKind.Immediate16);
      instruction.immediate16 = low(16);
      break;
    case "imm32":
    case "imm32zex64":
      instruction.setOpKind(operand, OpKind.Immediate32);
      instruction.immediate32 = low(32);
      break;
    case "imm32sex64":
    case "imm32const64":
      instruction.setOpKind(operand, OpKind.Immediate32to64);
      instruction.immediate32to64 = BigInt.asIntN(32, value.n);
      break;
    case "imm64":
      instruction.setOpKind(operand, OpKind.Immediate64);
      instruction.immediate64 = BigInt.asUintN(64, value.n);
      break;
    default:
      if (nth === 0) {
        instruction.setOpKind(operand, OpKind.Immediate8);
        instruction.immediate8 = low(8);
      } else {
        instruction.setOpKind(operand, OpKind.Immediate8_2nd);
        instruction.immediate8_2nd = low(8);
      }
  }
}

/** Operands of string instructions, which nobody writes. */
const UNDERSTOOD_REGISTERS: Readonly<Record<string, Register>> = {
  al: Register.AL,
  ax: Register.AX,
  eax: Register.EAX,
  rax: Register.RAX,
  dx: Register.DX,
};
const SOURCE = {
  16: OpKind.MemorySegSI,
  32: OpKind.MemorySegESI,
  64: OpKind.MemorySegRSI,
} as const;
const TARGET = { 16: OpKind.MemoryESDI, 32: OpKind.MemoryESEDI, 64: OpKind.MemoryESRDI } as const;
const SEGMENT_TARGET = {
  16: OpKind.MemorySegDI,
  32: OpKind.MemorySegEDI,
  64: OpKind.MemorySegRDI,
} as const;
const BX = { 16: Register.BX, 32: Register.EBX, 64: Register.RBX } as const;

function setUnderstood(
  instruction: Instruction,
  kinds: readonly string[],
  { operands, addressSize, segment }: Encoding,
): void {
  const written = [...operands];
  if (segment !== Register.None) instruction.segmentPrefix = segment;
  for (let i = 0; i < kinds.length; i++) {
    const kind = kinds[i] ?? "";
    const register = UNDERSTOOD_REGISTERS[kind];
    if (register !== undefined) {
      instruction.setOpKind(i, OpKind.Register);
      instruction.setOpRegister(i, register);
    } else if (kind === "seg_rSI") instruction.setOpKind(i, SOURCE[addressSize]);
    else if (kind === "es_rDI") instruction.setOpKind(i, TARGET[addressSize]);
    else if (kind === "seg_rDI") instruction.setOpKind(i, SEGMENT_TARGET[addressSize]);
    else if (kind === "seg_rBX_al") {
      instruction.setOpKind(i, OpKind.Memory);
      instruction.memoryBase = BX[addressSize];
      instruction.memoryIndex = Register.AL;
    } else {
      const operand = written.shift();
      if (operand?.is === "register" && registerClass(operand.register) !== "other") {
        instruction.setOpKind(i, OpKind.Register);
        instruction.setOpRegister(i, operand.register);
      }
    }
  }
}

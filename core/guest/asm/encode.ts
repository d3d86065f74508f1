// A form and its operands to bytes, by iced's encoder.
import { Encoder, Instruction, OpKind, Register } from "iced-x86";
import type { EncodedAddress } from "./address.ts";
import type { Form } from "./isa/forms.ts";
import { KINDS } from "./isa/kinds.ts";
import { type RegisterClass, resized } from "./isa/registers.ts";
import type { Resolved } from "./select.ts";
import type { Value } from "./value.ts";

export interface Encoding {
  readonly form: Form;
  readonly operands: readonly Resolved[];
  readonly bits: 16 | 32 | 64;
  /** Address of the instruction. */
  readonly at: bigint;
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
  const { form, bits, at, prefixes } = encoding;
  const instruction = new Instruction();
  const encoder = encoderFor(bits);
  try {
    instruction.code = form.code;
    setOperands(instruction, encoding);
    const start = BigInt.asUintN(bits, at + BigInt(prefixes.length));
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

function setOperands(instruction: Instruction, encoding: Encoding): void {
  const { form, operands, bits } = encoding;
  let immediates = 0;
  form.encoded.forEach(({ kind, from }, i) => {
    const operand = from === undefined ? undefined : operands[from];
    if (!operand) return setUnderstood(instruction, i, kind, encoding);
    switch (operand.is) {
      case "register":
        instruction.setOpKind(i, OpKind.Register);
        instruction.setOpRegister(i, inClass(operand.register, KINDS[kind]?.register));
        break;
      case "memory":
        instruction.setOpKind(i, OpKind.Memory);
        setAddress(instruction, operand.address);
        break;
      case "far":
        setFar(instruction, kind, operand.selector, operand.offset);
        break;
      case "immediate":
        if (KINDS[kind]?.branch) {
          // Where a target is not known yet, any that can be reached will do.
          const target = operand.value.unknown ? encoding.at : operand.value.n;
          setBranch(instruction, kind, target, bits);
        } else setImmediate(instruction, i, kind, operand.value, immediates++);
    }
  });
}

/** A general register in the size that the encoding counts with, where NASM lets one write another. */
function inClass(register: number, is: RegisterClass | undefined): number {
  const size = is === "gpr16" ? 2 : is === "gpr32" ? 4 : is === "gpr64" ? 8 : 0;
  return size === 0 ? register : resized(register, size);
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

function setBranch(instruction: Instruction, kind: string, target: bigint, bits: number): void {
  const size = KINDS[kind]?.branch?.bits ?? bits;
  if (size === 64) {
    instruction.setOpKind(0, OpKind.NearBranch64);
    instruction.nearBranch64 = BigInt.asUintN(64, target);
  } else if (size === 32) {
    instruction.setOpKind(0, OpKind.NearBranch32);
    instruction.nearBranch32 = Number(BigInt.asUintN(32, target));
  } else {
    instruction.setOpKind(0, OpKind.NearBranch16);
    instruction.nearBranch16 = Number(BigInt.asUintN(16, target));
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

/** Registers that need not be written. */
const UNDERSTOOD_REGISTERS: Readonly<Record<string, Register>> = {
  al: Register.AL,
  ax: Register.AX,
  eax: Register.EAX,
  rax: Register.RAX,
  dx: Register.DX,
  st0: Register.ST0,
  sti_opcode: Register.ST1,
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

/** An operand that nobody writes: of string instructions, x87 arithmetic, aam. */
function setUnderstood(
  instruction: Instruction,
  operand: number,
  kind: string,
  { addressSize, segment }: Encoding,
): void {
  const register = UNDERSTOOD_REGISTERS[kind];
  if (register !== undefined) {
    instruction.setOpKind(operand, OpKind.Register);
    instruction.setOpRegister(operand, register);
    return;
  }
  if (kind.startsWith("#")) {
    instruction.setOpKind(operand, OpKind.Immediate8);
    instruction.immediate8 = Number(kind.slice(1));
    return;
  }
  if (segment !== Register.None) instruction.segmentPrefix = segment;
  if (kind === "seg_rSI") instruction.setOpKind(operand, SOURCE[addressSize]);
  else if (kind === "es_rDI") instruction.setOpKind(operand, TARGET[addressSize]);
  else if (kind === "seg_rDI") instruction.setOpKind(operand, SEGMENT_TARGET[addressSize]);
  else {
    instruction.setOpKind(operand, OpKind.Memory);
    instruction.memoryBase = BX[addressSize];
    instruction.memoryIndex = Register.AL;
  }
}

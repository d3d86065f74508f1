// Operands of a decoded instruction: registers and their parts, effective addresses, memory. Used by instruction
// semantics in TypeScript; the translator has its own.
import { type Instruction, OpKind, Register } from "iced-x86";
import { SEGMENT_REGISTERS, type SegmentName } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { linearAddress } from "./linear.ts";
import type { CpuState } from "./state.ts";

/** Where a register is in the general-purpose file. */
interface Part {
  /** Encoding number, 0 to 15. */
  readonly index: number;
  readonly size: 1 | 2 | 4 | 8;
  /** AH, CH, DH, BH. */
  readonly high: boolean;
}

/** By iced's register number, which runs AL..BH, SPL..R15L, AX.., EAX.., RAX..R15. */
const PARTS: readonly (Part | undefined)[] = Array.from({ length: Register.R15 + 1 }, (_, r) => {
  if (r < Register.AL) return undefined;
  if (r < Register.AH) return { index: r - Register.AL, size: 1, high: false };
  if (r < Register.SPL) return { index: r - Register.AH, size: 1, high: true };
  if (r < Register.AX) return { index: r - Register.SPL + 4, size: 1, high: false };
  if (r < Register.EAX) return { index: r - Register.AX, size: 2, high: false };
  if (r < Register.RAX) return { index: r - Register.EAX, size: 4, high: false };
  return { index: r - Register.RAX, size: 8, high: false };
});

function partOf(register: Register): Part {
  const part = PARTS[register];
  if (!part) throw new Error(`${Register[register]} is not a general-purpose register`);
  return part;
}

/** Bytes of a general-purpose register. */
export function registerSize(register: Register): 1 | 2 | 4 | 8 {
  return partOf(register).size;
}

/** Value of a general-purpose register or a part of one, zero-extended. */
export function readRegister(state: CpuState, register: Register): bigint {
  const { index, size, high } = partOf(register);
  const value = state.gpr(index);
  return high ? (value >> 8n) & 0xffn : BigInt.asUintN(8 * size, value);
}

/** Writes it. A 32-bit write clears the upper half; narrower ones leave the rest. */
export function writeRegister(state: CpuState, register: Register, value: bigint): void {
  const { index, size, high } = partOf(register);
  writePart(state, index, size, value, high);
}

/** Writes the low `size` bytes of register `index`, or its second byte. */
export function writePart(
  state: CpuState,
  index: number,
  size: number,
  value: bigint,
  high = false,
): void {
  if (size >= 4) return state.setGpr(index, BigInt.asUintN(8 * size, value));
  const shift = high ? 8n : 0n;
  const mask = ((1n << BigInt(8 * size)) - 1n) << shift;
  state.setGpr(index, (state.gpr(index) & ~mask) | ((value << shift) & mask));
}

/** ES to GS, by iced's number. */
export function segmentName(register: Register): SegmentName {
  const name = SEGMENT_REGISTERS[register - Register.ES];
  if (!name) throw new Error(`${Register[register]} is not a segment register`);
  return name;
}

/** Segment and offset of a memory operand. */
export interface Place {
  readonly segment: SegmentName;
  readonly offset: bigint;
}

/** Bits of the address of a memory operand: of its registers, else of its displacement. */
export function addressBits(instruction: Instruction): number {
  const register = instruction.memoryBase || instruction.memoryIndex;
  if (register === Register.RIP) return 64;
  if (register === Register.EIP) return 32;
  return 8 * (register ? registerSize(register) : instruction.memoryDisplSize);
}

/** Where the instruction's (only) explicit memory operand is. */
export function effectiveAddress(cpu: Cpu, instruction: Instruction): Place {
  const { memoryBase: base, memoryIndex: index } = instruction;
  let offset = instruction.memoryDisplacement;
  if (base === Register.RIP || base === Register.EIP) {
    // iced resolved it against the address it decoded at, which need not be RIP.
    offset += cpu.state.rip - instruction.ip;
  } else if (base !== Register.None) {
    offset += readRegister(cpu.state, base);
  }
  if (index !== Register.None) {
    offset += readRegister(cpu.state, index) * BigInt(instruction.memoryIndexScale);
  }
  return {
    segment: segmentName(instruction.memorySegment),
    offset: BigInt.asUintN(addressBits(instruction), offset),
  };
}

/** The place `bytes` further on, wrapping as the address size does. */
export function offsetBy(instruction: Instruction, place: Place, bytes: number): Place {
  const offset = BigInt.asUintN(addressBits(instruction), place.offset + BigInt(bytes));
  return { segment: place.segment, offset };
}

/** Reads `size` bytes, with the segment's checks. */
export function readPlace(cpu: Cpu, { segment, offset }: Place, size: number): bigint {
  return cpu.memory.read(linearAddress(cpu.state, segment, offset, size, false), size);
}

/** Writes the low `size` bytes of a value, with the segment's checks. */
export function writePlace(cpu: Cpu, { segment, offset }: Place, size: number, value: bigint) {
  const linear = linearAddress(cpu.state, segment, offset, size, true);
  cpu.memory.write(linear, size, BigInt.asUintN(8 * size, value));
}

/** A register (whole, whatever `size`), `size` bytes of memory, or an immediate, sign-extended as encoded. */
export function readOperand(
  cpu: Cpu,
  instruction: Instruction,
  operand: number,
  size: number,
): bigint {
  switch (instruction.opKind(operand)) {
    case OpKind.Register:
      return readRegister(cpu.state, instruction.opRegister(operand));
    case OpKind.Memory:
      return readPlace(cpu, effectiveAddress(cpu, instruction), size);
    default:
      return instruction.immediate(operand);
  }
}

/** Writes a register (whole, by its own size) or `size` bytes of memory. */
export function writeOperand(
  cpu: Cpu,
  instruction: Instruction,
  operand: number,
  size: number,
  value: bigint,
): void {
  if (instruction.opKind(operand) === OpKind.Register) {
    writeRegister(cpu.state, instruction.opRegister(operand), value);
  } else {
    writePlace(cpu, effectiveAddress(cpu, instruction), size, value);
  }
}

/** Is the operand in memory? */
export function isMemory(instruction: Instruction, operand: number): boolean {
  return instruction.opKind(operand) === OpKind.Memory;
}

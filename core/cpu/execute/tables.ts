// The registers that point at descriptor tables: LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR.
import { Code, type Instruction, Mnemonic } from "iced-x86";
import { VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import {
  isLongMode,
  isOrdinary,
  isPresent,
  nullSegment,
  readSystemDescriptor,
  selectorCode,
  SYSTEM,
  SYSTEM_ACCESS,
  TABLE_INDICATOR,
  typeOf,
} from "../descriptors.ts";
import { GuestFault } from "../fault.ts";
import { linearAddress, TYPE } from "../linear.ts";
import { effectiveAddress, readOperand, writeOperand } from "../operands.ts";
import { isCanonical, LINEAR_ADDRESS_BITS } from "../walk.ts";

/** LGDT or LIDT of six bytes at m16&32 or, in 64-bit mode, ten at m16&64. */
export function loadTable(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const size = tableSize(cpu);
  const image = cpu.memory.read(linearAddress(state, segment, offset, size, false), size);
  const { code } = instruction;
  // With a 16-bit operand size, the base has 24 bits.
  const narrow = code === Code.Lgdt_m1632_16 || code === Code.Lidt_m1632_16;
  const base = narrow ? (image >> 16n) & 0xff_ffffn : image >> 16n;
  if (!isCanonical(base, LINEAR_ADDRESS_BITS)) throw new GuestFault(VECTOR.GP, 0);
  const table = { base, limit: Number(image & 0xffffn) };
  if (instruction.mnemonic === Mnemonic.Lgdt) state.gdtr = table;
  else state.idtr = table;
}

/** SGDT and SIDT. */
export function storeTable(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { base, limit } = instruction.mnemonic === Mnemonic.Sgdt ? state.gdtr : state.idtr;
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const size = tableSize(cpu);
  const image = BigInt.asUintN(8 * size, (base << 16n) | BigInt(limit & 0xffff));
  cpu.memory.write(linearAddress(state, segment, offset, size, true), size, image);
}

/** Bytes of limit and base in memory. */
function tableSize(cpu: Cpu): number {
  return cpu.state.bitness === 64 ? 10 : 6;
}

/** LLDT: a null selector leaves no LDT. */
export function loadLocalTable(cpu: Cpu, instruction: Instruction): void {
  const selector = Number(readOperand(cpu, instruction, 0, 2) & 0xffffn);
  if (selectorCode(selector) === 0) return cpu.state.setSegment("ldtr", nullSegment(selector));
  const { base, limit, attributes } = systemSegment(cpu, selector, [SYSTEM.LDT]);
  cpu.state.setSegment("ldtr", { selector, base, limit, attributes });
}

/** LTR: the TSS is marked busy, in the GDT and in TR. */
export function loadTaskRegister(cpu: Cpu, instruction: Instruction): void {
  const selector = Number(readOperand(cpu, instruction, 0, 2) & 0xffffn);
  if (selectorCode(selector) === 0) throw new GuestFault(VECTOR.GP, 0);
  const types = isLongMode(cpu.state) ? [SYSTEM.TSS] : [SYSTEM.TSS, SYSTEM.TSS16];
  const tss = systemSegment(cpu, selector, types);
  const attributes = tss.attributes | TYPE.WRITABLE;
  cpu.memory.write(tss.linear + 5n, 1, BigInt(attributes & 0xff), SYSTEM_ACCESS);
  cpu.state.setSegment("tr", { selector, base: tss.base, limit: tss.limit, attributes });
}

function systemSegment(cpu: Cpu, selector: number, types: readonly number[]) {
  const code = selectorCode(selector);
  if (selector & TABLE_INDICATOR) throw new GuestFault(VECTOR.GP, code);
  const descriptor = readSystemDescriptor(cpu, selector);
  if (isOrdinary(descriptor) || !types.includes(typeOf(descriptor))) {
    throw new GuestFault(VECTOR.GP, code);
  }
  if (!isPresent(descriptor)) throw new GuestFault(VECTOR.NP, code);
  if (!isCanonical(descriptor.base, LINEAR_ADDRESS_BITS)) throw new GuestFault(VECTOR.GP, code);
  return descriptor;
}

/** SLDT and STR: a register gets it zero-extended, memory always 16 bits. */
export function storeSelector(cpu: Cpu, instruction: Instruction): void {
  const name = instruction.mnemonic === Mnemonic.Sldt ? "ldtr" : "tr";
  writeOperand(cpu, instruction, 0, 2, BigInt(cpu.state.segment(name).selector));
}

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
import { TYPE } from "../linear.ts";
import {
  effectiveAddress,
  offsetBy,
  readOperand,
  readPlace,
  writeOperand,
  writePlace,
} from "../operands.ts";
import { isCanonical, LINEAR_ADDRESS_BITS } from "../walk.ts";

/** LGDT or LIDT of six bytes at m16&32 or, in 64-bit mode, ten at m16&64. */
export function loadTable(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const place = effectiveAddress(cpu, instruction);
  const limit = readPlace(cpu, place, LIMIT_BYTES);
  const image = readPlace(cpu, offsetBy(instruction, place, LIMIT_BYTES), baseBytes(cpu));
  const { code } = instruction;
  // With a 16-bit operand size, the base has 24 bits.
  const narrow = code === Code.Lgdt_m1632_16 || code === Code.Lidt_m1632_16;
  const base = narrow ? image & 0xff_ffffn : image;
  if (!isCanonical(base, LINEAR_ADDRESS_BITS)) throw new GuestFault(VECTOR.GP, 0);
  const table = { base, limit: Number(limit) };
  if (instruction.mnemonic === Mnemonic.Lgdt) state.gdtr = table;
  else state.idtr = table;
}

/** SGDT and SIDT. */
export function storeTable(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { base, limit } = instruction.mnemonic === Mnemonic.Sgdt ? state.gdtr : state.idtr;
  const place = effectiveAddress(cpu, instruction);
  writePlace(cpu, place, LIMIT_BYTES, BigInt(limit));
  writePlace(cpu, offsetBy(instruction, place, LIMIT_BYTES), baseBytes(cpu), base);
}

/** Limit and base are accessed one after the other: between them, addresses wrap as the address size does. */
const LIMIT_BYTES = 2;

function baseBytes(cpu: Cpu): number {
  return cpu.state.bitness === 64 ? 8 : 4;
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

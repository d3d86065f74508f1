// Control and debug registers: which one an instruction names, and what writing one does (SDM vol. 3, 2.5 and 18.2).
import { type Instruction, OpKind, Register } from "iced-x86";
import { CR0, CR4, EFER, VECTOR } from "../base/registers.ts";
import type { Cpu, Flush, PhysicalMemory } from "./cpu.ts";
import { GuestFault } from "./fault.ts";
import { readTableEntry } from "./mmu.ts";
import { ATTRIBUTE, type CpuState } from "./state.ts";
import { ENTRY, PHYSICAL_ADDRESS_BITS, usesPointers } from "./walk.ts";

/** Control registers that exist, by number. */
const NAMES = { 0: "cr0", 2: "cr2", 3: "cr3", 4: "cr4", 8: "cr8" } as const;
/** Number of a control register that exists. */
export type ControlNumber = keyof typeof NAMES;

/** Is there a control register of this number? */
export function isControlRegister(number: number): number is ControlNumber {
  return number in NAMES;
}

/** Number of the first operand that lies in a range of registers. */
function operandIn(instruction: Instruction, first: Register, last: Register): number {
  for (const operand of [0, 1]) {
    if (instruction.opKind(operand) !== OpKind.Register) continue;
    const register = instruction.opRegister(operand);
    if (register >= first && register <= last) return register - first;
  }
  throw new Error("No control or debug register among the operands");
}

/** Number of the control register that a MOV names. */
export function controlOperand(instruction: Instruction): number {
  return operandIn(instruction, Register.CR0, Register.CR15);
}

/** Does a MOV write the control register that it names, or read it? */
export function isMoveToControl({ op0Register }: Instruction): boolean {
  return op0Register >= Register.CR0 && op0Register <= Register.CR15;
}

/** Number of the debug register that a MOV names. */
export function debugOperand(instruction: Instruction): number {
  return operandIn(instruction, Register.DR0, Register.DR15);
}

/** Value of a control register. */
export function readControl(state: CpuState, number: ControlNumber): bigint {
  return state.control(NAMES[number]);
}

/** What CR4 can hold: what CPUID reports (`cpuid.ts`), no more. */
export const CR4_SUPPORTED = BigInt(
  CR4.VME | CR4.PVI | CR4.TSD | CR4.DE | CR4.PSE | CR4.PAE | CR4.MCE | CR4.PGE | CR4.PCE |
    CR4.UMIP | CR4.LA57 |
    CR4.FSGSBASE | CR4.PCIDE |
    CR4.SMEP | CR4.SMAP | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE,
);

/** Bits of CR0 that exist; the others read as zero. */
const CR0_BITS = BigInt(
  CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD,
) | BigInt(CR0.PG);

/** CR4 bits whose change drops translations, and, under PAE, loads the pointers again (SDM vol. 3, 4.10.4.1 and 4.4.1). */
const CR4_PAGING = BigInt(CR4.PSE | CR4.PAE | CR4.PGE | CR4.LA57 | CR4.PCIDE | CR4.SMEP);
const CR0_PAGING = BigInt(CR0.PG) | BigInt(CR0.PE);
/** Bits whose change leaves translations alone, but not what they allow. */
const CR0_RIGHTS = BigInt(CR0.WP), CR4_RIGHTS = BigInt(CR4.SMAP);
/** CR0 bits whose change loads the pointers again. */
const CR0_POINTERS = BigInt(CR0.CD | CR0.NW) | BigInt(CR0.PG);
const LONG = BigInt(EFER.LMA), PCIDE = BigInt(CR4.PCIDE);
/** CR3, with PCIDs: the context, and in a value to be written, whether its translations stay. */
const PCID_MASK = 0xfffn, KEEP = 1n << 63n;

/** Of a TSS descriptor's type: long mode can't be entered with a 16-bit TSS (SDM vol. 2, MOV CR, #GP(0)). */
const TASK_32_BIT = 8;

const refuse = () => new GuestFault(VECTOR.GP, 0);

/** Writes a control register as MOV does, with its checks and its effect on EFER.LMA and on cached translations. */
export function writeControl(cpu: Cpu, number: ControlNumber, value: bigint): void {
  switch (number) {
    case 0:
      writeCr0(cpu, value);
      break;
    case 2:
      cpu.state.setControl("cr2", value);
      break;
    case 3:
      writeCr3(cpu, value);
      break;
    case 4:
      writeCr4(cpu, value);
      break;
    case 8:
      if (value > 15n) throw refuse();
      cpu.state.setControl("cr8", value);
      break;
    default:
      return number satisfies never;
  }
  cpu.surroundings.count("cr-write");
}

function writeCr0(cpu: Cpu, value: bigint): void {
  const { state } = cpu;
  const bit = (name: keyof typeof CR0) => (value & BigInt(CR0[name])) !== 0n;
  if (value >> 32n) throw refuse();
  if (bit("PG") && !bit("PE")) throw refuse();
  if (bit("NW") && !bit("CD")) throw refuse();
  const old = state.control("cr0"), cr4 = state.control("cr4");
  const wasPaging = (old & BigInt(CR0.PG)) !== 0n;
  let efer = state.control("efer");
  if (bit("PG") && !wasPaging) {
    if (efer & BigInt(EFER.LME)) {
      const sixtyFour = (state.segment("cs").attributes & ATTRIBUTE.L) !== 0;
      const narrow = (state.segment("tr").attributes & TASK_32_BIT) === 0;
      if (!(cr4 & BigInt(CR4.PAE)) || sixtyFour || narrow) throw refuse();
      efer |= LONG;
    }
  } else if (!bit("PG") && wasPaging) {
    if (state.bitness === 64 || cr4 & PCIDE) throw refuse();
    efer &= ~LONG;
  }
  const next = (value & CR0_BITS) | BigInt(CR0.ET);
  const changed = next ^ old;
  if (usesPointers(next, cr4, efer) && changed & CR0_POINTERS) {
    state.pagePointers = checkedPointers(cpu, state.control("cr3"));
  }
  state.setControl("cr0", next);
  state.setControl("efer", efer);
  if (changed & CR0_PAGING) flush(cpu, { of: "everything" });
  else if (changed & CR0_RIGHTS) flush(cpu, { of: "rights" });
}

function writeCr3(cpu: Cpu, value: bigint): void {
  const { state } = cpu;
  const cr0 = state.control("cr0"), cr4 = state.control("cr4"), efer = state.control("efer");
  const contexts = (cr4 & PCIDE) !== 0n;
  const next = contexts ? value & ~KEEP : value;
  if (efer & LONG && next >> BigInt(PHYSICAL_ADDRESS_BITS)) throw refuse();
  if (usesPointers(cr0, cr4, efer)) state.pagePointers = checkedPointers(cpu, value);
  state.setControl("cr3", next);
  // The context may be another one now, whose translations are kept: what holds those of one at a time has to know.
  if (next !== value) flush(cpu, { of: "rights" });
  else flush(cpu, { of: "context", pcid: contexts ? Number(next & PCID_MASK) : 0 });
}

function writeCr4(cpu: Cpu, value: bigint): void {
  const { state } = cpu;
  if (value & ~CR4_SUPPORTED) throw refuse();
  const efer = state.control("efer");
  const long = (efer & LONG) !== 0n;
  const old = state.control("cr4");
  const changed = value ^ old;
  if (long && (!(value & BigInt(CR4.PAE)) || changed & BigInt(CR4.LA57))) throw refuse();
  if (changed & value & PCIDE && (!long || state.control("cr3") & PCID_MASK)) throw refuse();
  if (usesPointers(state.control("cr0"), value, efer) && changed & CR4_PAGING) {
    state.pagePointers = checkedPointers(cpu, state.control("cr3"));
  }
  state.setControl("cr4", value);
  if (changed & CR4_PAGING) flush(cpu, { of: "everything" });
  else if (changed & CR4_RIGHTS) flush(cpu, { of: "rights" });
}

/** The page-directory pointers that CR3 names. #GP(0) where a present one has a reserved bit set (SDM vol. 3, 4.4.1). */
function checkedPointers({ physical }: Cpu, cr3: bigint): bigint[] {
  const pointers = readPointers(physical, cr3);
  const reserved = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) | 0x1e6n;
  for (const entry of pointers) {
    if (entry & ENTRY.P && BigInt.asUintN(64, entry & reserved)) throw refuse();
  }
  return pointers;
}

/** The page-directory pointers that CR3 names, whatever they are. */
export function readPointers(physical: PhysicalMemory, cr3: bigint): bigint[] {
  const table = Number(cr3 & 0xffff_ffe0n);
  return [0, 8, 16, 24].map((offset) => readTableEntry(physical, table + offset, 8));
}

function flush(cpu: Cpu, which: Flush): void {
  cpu.surroundings.flushTranslations(which);
  if (which.of !== "rights") cpu.surroundings.count("tlb-flush");
}

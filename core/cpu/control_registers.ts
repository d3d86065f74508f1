// Control and debug registers: which one an instruction names, and what writing one does (SDM vol. 3, 2.5 and 18.2).
import { type Instruction, OpKind, Register } from "iced-x86";
import { CR0, CR4, EFER, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { GuestFault } from "./fault.ts";
import { ATTRIBUTE, type CpuState } from "./state.ts";
import { ENTRY, PHYSICAL_ADDRESS_BITS } from "./walk.ts";

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
  CR4.TSD | CR4.DE | CR4.PSE | CR4.PAE | CR4.MCE | CR4.PGE | CR4.PCE | CR4.UMIP | CR4.FSGSBASE |
    CR4.SMEP | CR4.SMAP | CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE,
);

/** Bits of CR0 that exist; the others read as zero. */
const CR0_BITS = BigInt(
  CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.ET | CR0.NE | CR0.WP | CR0.AM | CR0.NW | CR0.CD,
) | BigInt(CR0.PG);

/** CR4 bits whose change alters translations. */
const CR4_PAGING = BigInt(CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP | CR4.SMAP);
const CR0_PAGING = BigInt(CR0.WP) | BigInt(CR0.PG) | BigInt(CR0.PE);

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
  const old = state.control("cr0");
  const wasPaging = (old & BigInt(CR0.PG)) !== 0n;
  let efer = state.control("efer");
  if (bit("PG") && !wasPaging) {
    if (efer & BigInt(EFER.LME)) {
      const sixtyFour = (state.segment("cs").attributes & ATTRIBUTE.L) !== 0;
      if (!(state.control("cr4") & BigInt(CR4.PAE)) || sixtyFour) throw refuse();
      efer |= BigInt(EFER.LMA);
    } else if (state.control("cr4") & BigInt(CR4.PAE)) {
      checkPointers(cpu, state.control("cr3"));
    }
  } else if (!bit("PG") && wasPaging) {
    if (state.bitness === 64) throw refuse();
    efer &= ~BigInt(EFER.LMA);
  }
  const next = (value & CR0_BITS) | BigInt(CR0.ET);
  state.setControl("cr0", next);
  state.setControl("efer", efer);
  if ((next ^ old) & CR0_PAGING) flush(cpu);
}

function writeCr3(cpu: Cpu, value: bigint): void {
  const { state } = cpu;
  const long = (state.control("efer") & BigInt(EFER.LMA)) !== 0n;
  if (long && value >> BigInt(PHYSICAL_ADDRESS_BITS)) throw refuse();
  const paging = (state.control("cr0") & BigInt(CR0.PG)) !== 0n;
  if (!long && paging && state.control("cr4") & BigInt(CR4.PAE)) checkPointers(cpu, value);
  state.setControl("cr3", value);
  flush(cpu);
}

function writeCr4(cpu: Cpu, value: bigint): void {
  const { state } = cpu;
  if (value & ~CR4_SUPPORTED) throw refuse();
  const long = (state.control("efer") & BigInt(EFER.LMA)) !== 0n;
  if (long && !(value & BigInt(CR4.PAE))) throw refuse();
  const old = state.control("cr4");
  state.setControl("cr4", value);
  if ((value ^ old) & CR4_PAGING) flush(cpu);
}

/** PAE: #GP(0) where a present page-directory pointer has a reserved bit set (SDM vol. 3, 4.4.1). */
function checkPointers(cpu: Cpu, cr3: bigint): void {
  const table = Number(cr3 & 0xffff_ffe0n);
  const reserved = ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n) | 0x1e6n;
  for (let i = 0; i < 4; i++) {
    const entry = cpu.physical.read(table + 8 * i, 8);
    if (entry & ENTRY.P && BigInt.asUintN(64, entry & reserved)) throw refuse();
  }
}

function flush(cpu: Cpu): void {
  cpu.surroundings.flushTranslations();
  cpu.surroundings.count("tlb-flush");
}

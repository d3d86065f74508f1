// Decimal arithmetic of the 8086: DAA, DAS, AAA, AAS, AAM, AAD; and the undocumented SALC (SDM vol. 2).
import { type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { GuestFault } from "../fault.ts";
import { CC, statusFlags } from "../lazy_flags.ts";
import { writePart } from "../operands.ts";
import type { CpuState } from "../state.ts";

const RAX = 0;

const al = (state: CpuState) => Number(state.gpr(RAX) & 0xffn);
const ah = (state: CpuState) => Number((state.gpr(RAX) >> 8n) & 0xffn);
const has = (state: CpuState, flag: number) => (state.rflags & BigInt(flag)) !== 0n;

function setAx(state: CpuState, high: number, low: number): void {
  writePart(state, RAX, 2, BigInt(((high & 0xff) << 8) | (low & 0xff)));
}

/** Sets ZF, SF and PF by AL, and CF and AF as given. OF, undefined, is cleared. */
function setFlags(state: CpuState, carry: boolean, adjust: boolean): void {
  const carries = (carry ? RFLAGS.CF : 0) | (adjust ? RFLAGS.AF : 0);
  const status = statusFlags(CC.LOGIC * 4, BigInt(al(state)), 0n, 0) | BigInt(carries);
  const all = RFLAGS.CF | RFLAGS.PF | RFLAGS.AF | RFLAGS.ZF | RFLAGS.SF | RFLAGS.OF;
  state.rflags = (state.rflags & ~BigInt(all)) | status;
}

/** DAA and DAS: adjusts AL after an addition or subtraction of packed digits. */
export function adjustPacked(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const sign = instruction.mnemonic === Mnemonic.Daa ? 1 : -1;
  const old = al(state);
  const oldCarry = has(state, RFLAGS.CF);
  const adjust = (old & 0xf) > 9 || has(state, RFLAGS.AF);
  const upper = old > 0x99 || oldCarry;
  const value = old + sign * ((adjust ? 6 : 0) + (upper ? 0x60 : 0));
  // DAS carries out of its first step too.
  const borrow = sign < 0 && adjust && old < 6;
  writePart(state, RAX, 1, BigInt(value & 0xff));
  setFlags(state, upper || borrow, adjust);
}

/** AAA and AAS: adjusts AL, and AH, after an addition or subtraction of unpacked digits. */
export function adjustUnpacked(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const sign = instruction.mnemonic === Mnemonic.Aaa ? 1 : -1;
  const adjust = (al(state) & 0xf) > 9 || has(state, RFLAGS.AF);
  if (adjust) {
    const ax = Number(state.gpr(RAX) & 0xffffn) + sign * 0x106;
    writePart(state, RAX, 2, BigInt(ax & 0xffff));
  }
  writePart(state, RAX, 1, BigInt(al(state) & 0xf));
  setFlags(state, adjust, adjust);
}

/** AAM: AL divided by the immediate into AH and AL; #DE for zero. */
export function adjustMultiply(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const base = instruction.immediate8;
  if (base === 0) throw new GuestFault(VECTOR.DE);
  const value = al(state);
  setAx(state, Math.floor(value / base), value % base);
  setFlags(state, false, false);
}

/** AAD: AH times the immediate, plus AL, into AL. */
export function adjustDivide(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  setAx(state, 0, al(state) + ah(state) * instruction.immediate8);
  setFlags(state, false, false);
}

/** AL becomes CF in all its bits. */
export function setAlFromCarry(cpu: Cpu): void {
  writePart(cpu.state, RAX, 1, has(cpu.state, RFLAGS.CF) ? 0xffn : 0n);
}

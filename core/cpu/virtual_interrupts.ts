// Virtual interrupts: VIF and VIP stand in for IF where a program may not touch that, in virtual-8086 mode under CR4.VME and
// at level 3 under CR4.PVI; and INT n of virtual-8086 mode that its own vectors serve (SDM vol. 3, 21.3 and 21.4).
import { CR4, RFLAGS, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { isPresent, SYSTEM, SYSTEM_ACCESS, typeOf, virtual8086Segment } from "./descriptors.ts";
import { GuestFault } from "./fault.ts";
import { isVirtual8086 } from "./linear.ts";
import { iopl } from "./privilege.ts";
import { Stack } from "./stack.ts";
import type { CpuState } from "./state.ts";

const VIF = BigInt(RFLAGS.VIF), VIP = BigInt(RFLAGS.VIP), IF = BigInt(RFLAGS.IF);
const TF = BigInt(RFLAGS.TF), IOPL = BigInt(RFLAGS.IOPL);

const refused = () => new GuestFault(VECTOR.GP, 0);

function has(state: CpuState, bit: number): boolean {
  return (state.control("cr4") & BigInt(bit)) !== 0n;
}

/** Do PUSHF, POPF and IRET of 16 bits see VIF as IF? Virtual-8086 mode with an IOPL too low, under VME. */
export function seesVirtualFlags(state: CpuState): boolean {
  return isVirtual8086(state) && iopl(state) < 3 && has(state, CR4.VME);
}

/** Are CLI and STI about VIF? */
export function ownsVirtualInterrupts(state: CpuState): boolean {
  if (isVirtual8086(state)) return seesVirtualFlags(state);
  return state.cpl === 3 && iopl(state) < 3 && has(state, CR4.PVI);
}

/** CLI and STI on VIF. An interrupt that waits faults, so that it can be given. */
export function setVirtualInterrupts(state: CpuState, on: boolean): void {
  const flags = state.rflags;
  if (on && flags & VIP) throw refused();
  state.rflags = on ? flags | VIF : flags & ~VIF;
}

/**
 * A program that is returned to with a virtual interrupt pending, and VIF set, faults before its first instruction (Bochs; SDM
 * vol. 3, 21.3.2 has it of the return alone). Call when all is loaded.
 */
export function checkPendingInterrupt(state: CpuState): void {
  const both = RFLAGS.VIF | RFLAGS.VIP;
  if ((state.systemFlags & both) !== both) return;
  const enabled = isVirtual8086(state) && has(state, CR4.VME) ||
    state.cpl === 3 && has(state, CR4.PVI);
  if (enabled) throw refused();
}

/** The flags as PUSHF shows them: VIF for IF, and IOPL 3. */
export function shownFlags(flags: bigint): bigint {
  return (flags & ~IF) | IOPL | (flags & VIF ? IF : 0n);
}

/**
 * What POPF and IRET make of a 16-bit image: IF goes to VIF, and what is to be loaded besides is left in the image. Throws #GP
 * where the program would be interrupted at once, or traced.
 */
export function virtualImage(state: CpuState, image: bigint): bigint {
  if (image & TF || (image & IF && state.rflags & VIP)) throw refused();
  return (image & ~IF) | (image & IF ? VIF : 0n);
}

/** Bits that such an image loads: all of 16 bits but IF and IOPL, and VIF. */
export const VIRTUAL_IMAGE = (0x7fd5n & ~(IF | IOPL)) | VIF;

/** Offset of the I/O map base in a 32-bit TSS; the redirection bits are the 32 bytes below the map (SDM vol. 3, 21.3.3). */
const IO_MAP_BASE = 0x66, REDIRECTION_BYTES = 32, TSS_LIMIT = 0x67;

/** Does the vector table of the 8086 program serve this INT n? Its bit in the TSS is clear then; #GP(0) without such bits. */
function isRedirected(cpu: Cpu, vector: number): boolean {
  const tr = cpu.state.segment("tr");
  const type = typeOf(tr);
  const wide = type === SYSTEM.TSS || type === SYSTEM.TSS_BUSY;
  if (!isPresent(tr) || !wide || tr.limit < TSS_LIMIT) throw refused();
  const read = (offset: number, size: number) =>
    Number(cpu.memory.read(BigInt.asUintN(32, tr.base + BigInt(offset)), size, SYSTEM_ACCESS));
  const at = read(IO_MAP_BASE, 2) - REDIRECTION_BYTES + (vector >> 3);
  if (at < 0 || at > tr.limit) throw refused();
  return (read(at, 1) & (1 << (vector & 7))) === 0;
}

/**
 * INT n under VME: through the 8086 program's own vector, or false where it goes through the IDT. #GP(0) where it may do
 * neither.
 */
export function redirectInterrupt(cpu: Cpu, vector: number, returnTo: bigint): boolean {
  const { state } = cpu;
  if (!isVirtual8086(state) || !has(state, CR4.VME)) return false;
  const masked = iopl(state) < 3;
  if (!isRedirected(cpu, vector)) {
    if (masked) throw refused();
    return false;
  }
  const flags = state.rflags;
  const entry = Number(cpu.memory.read(BigInt(4 * vector), 4, SYSTEM_ACCESS));
  const stack = new Stack(cpu);
  stack.push(2, masked ? shownFlags(flags) : flags);
  stack.push(2, BigInt(state.segment("cs").selector));
  stack.push(2, returnTo);
  stack.commit();
  state.setSegment("cs", virtual8086Segment(entry >>> 16));
  state.rip = BigInt(entry & 0xffff);
  state.rflags = flags & ~(TF | BigInt(RFLAGS.RF) | (masked ? VIF : IF));
  return true;
}

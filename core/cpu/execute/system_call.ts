// SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS, and the segment bases of user programs (SDM vol. 3, 5.8.7 and 5.8.8).
import { type Instruction, Mnemonic } from "iced-x86";
import { CR4, RFLAGS, type Segment, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { isLongMode } from "../descriptors.ts";
import { GuestFault } from "../fault.ts";
import { loadFlags } from "../flags.ts";
import { MSR, readMsr, writeMsr } from "../msr.ts";
import { readRegister, writeRegister } from "../operands.ts";
import type { CpuState } from "../state.ts";
import { isCanonical, LINEAR_ADDRESS_BITS } from "../walk.ts";
import { nextRip } from "./handler.ts";

const RCX = 1, RDX = 2, RSP = 4, R11 = 11;

/** Attributes of the flat segments that these instructions load without reading a table, DPL left out. */
const FLAT = { code64: 0xa09b, code32: 0xc09b, data: 0xc093 } as const;

function flat(selector: number, kind: keyof typeof FLAT, level: number): Segment {
  const attributes = FLAT[kind] | (level << 5);
  return { selector: selector | level, base: 0n, limit: 0xffff_ffff, attributes };
}

const ALL_FLAGS = 0xffff_ffffn;
/** What SYSRET takes from R11: all flags but RF and VM (SDM vol. 2, SYSRET). */
const SYSRET_FLAGS = 0x3c_7fd7n;

/** SYSCALL and SYSENTER. */
export function systemCall(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  if (instruction.mnemonic === Mnemonic.Sysenter) enter(cpu);
  else {
    const star = readMsr(cpu, MSR.STAR);
    const flags = state.rflags & ~BigInt(RFLAGS.RF);
    state.setGpr(RCX, nextRip(state, instruction));
    state.setGpr(R11, flags);
    state.rip = readMsr(cpu, MSR.LSTAR);
    const selector = Number((star >> 32n) & 0xfffcn);
    state.setSegment("cs", flat(selector, "code64", 0));
    state.setSegment("ss", flat(selector + 8, "data", 0));
    loadFlags(cpu, flags & ~readMsr(cpu, MSR.SFMASK), ALL_FLAGS);
  }
  cpu.surroundings.count("syscall");
}

/** SYSRET and SYSEXIT. */
export function systemReturn(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { mnemonic } = instruction;
  if (mnemonic === Mnemonic.Sysexit || mnemonic === Mnemonic.Sysexitq) {
    return exit(cpu, mnemonic === Mnemonic.Sysexitq);
  }
  const wide = mnemonic === Mnemonic.Sysretq;
  const rip = state.gpr(RCX);
  if (wide && !isCanonical(rip, state.linearBits)) throw new GuestFault(VECTOR.GP, 0);
  const selector = Number((readMsr(cpu, MSR.STAR) >> 48n) & 0xfffcn);
  state.rip = wide ? rip : rip & 0xffff_ffffn;
  state.setSegment("cs", flat(selector + (wide ? 16 : 0), wide ? "code64" : "code32", 3));
  state.setSegment("ss", flat(selector + 8, "data", 3));
  loadFlags(cpu, state.gpr(R11) & SYSRET_FLAGS, ALL_FLAGS);
}

/** SYSENTER: segments from SYSENTER_CS, stack and entry from the other two MSRs. */
function enter(cpu: Cpu): void {
  const { state } = cpu;
  const selector = sysenterSelector(cpu);
  const long = isLongMode(state);
  const trim = (value: bigint) => long ? value : value & 0xffff_ffffn;
  state.setGpr(RSP, trim(readMsr(cpu, MSR.SYSENTER_ESP)));
  state.rip = trim(readMsr(cpu, MSR.SYSENTER_EIP));
  state.setSegment("cs", flat(selector, long ? "code64" : "code32", 0));
  state.setSegment("ss", flat(selector + 8, "data", 0));
  loadFlags(cpu, 0n, BigInt(RFLAGS.IF | RFLAGS.VM | RFLAGS.RF));
}

function exit(cpu: Cpu, wide: boolean): void {
  const { state } = cpu;
  const selector = sysenterSelector(cpu);
  const [rip, rsp] = [state.gpr(RDX), state.gpr(RCX)];
  if (wide && !(isCanonical(rip, state.linearBits) && isCanonical(rsp, state.linearBits))) {
    throw new GuestFault(VECTOR.GP, 0);
  }
  state.rip = wide ? rip : rip & 0xffff_ffffn;
  state.setGpr(RSP, wide ? rsp : rsp & 0xffff_ffffn);
  state.setSegment("cs", flat(selector + (wide ? 32 : 16), wide ? "code64" : "code32", 3));
  state.setSegment("ss", flat(selector + (wide ? 40 : 24), "data", 3));
}

function sysenterSelector(cpu: Cpu): number {
  const selector = Number(readMsr(cpu, MSR.SYSENTER_CS) & 0xfffcn);
  if (selector === 0) throw new GuestFault(VECTOR.GP, 0);
  return selector;
}

/** SWAPGS. */
export function swapGs(cpu: Cpu): void {
  const { state } = cpu;
  const gs = state.segment("gs");
  state.setSegment("gs", { ...gs, base: readMsr(cpu, MSR.KERNEL_GS_BASE) });
  writeMsr(cpu, MSR.KERNEL_GS_BASE, gs.base);
}

/** RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE. */
export function segmentBase(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  requireSegmentBases(state);
  const { mnemonic } = instruction;
  const name = mnemonic === Mnemonic.Rdfsbase || mnemonic === Mnemonic.Wrfsbase ? "fs" : "gs";
  const segment = state.segment(name);
  if (mnemonic === Mnemonic.Rdfsbase || mnemonic === Mnemonic.Rdgsbase) {
    return writeRegister(state, instruction.op0Register, segment.base);
  }
  const base = readRegister(state, instruction.op0Register);
  if (!isCanonical(base, LINEAR_ADDRESS_BITS)) throw new GuestFault(VECTOR.GP, 0);
  state.setSegment(name, { ...segment, base });
}

function requireSegmentBases(state: CpuState): void {
  const enabled = (state.control("cr4") & BigInt(CR4.FSGSBASE)) !== 0n;
  if (state.bitness !== 64 || !enabled) throw new GuestFault(VECTOR.UD);
}

// What the CPU tells about itself and the time: CPUID, RDTSC, RDTSCP, RDPMC, RDMSR, WRMSR.
import { VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { GuestFault } from "../fault.ts";
import { MSR, readMsr, readTimestamp, writeMsr } from "../msr.ts";
import type { CpuState } from "../state.ts";

const RAX = 0, RCX = 1, RDX = 2, RBX = 3;

function low(state: CpuState, index: number): number {
  return Number(BigInt.asUintN(32, state.gpr(index)));
}

function setPair(state: CpuState, value: bigint): void {
  state.setGpr(RAX, value & 0xffff_ffffn);
  state.setGpr(RDX, BigInt.asUintN(64, value) >> 32n);
}

/** CPUID, as the surroundings answer. */
export function cpuid(cpu: Cpu): void {
  const { state } = cpu;
  const [eax, ebx, ecx, edx] = cpu.surroundings.cpuid(low(state, RAX), low(state, RCX));
  state.setGpr(RAX, BigInt(eax >>> 0));
  state.setGpr(RBX, BigInt(ebx >>> 0));
  state.setGpr(RCX, BigInt(ecx >>> 0));
  state.setGpr(RDX, BigInt(edx >>> 0));
}

/** RDTSC. */
export function readTimestampCounter(cpu: Cpu): void {
  setPair(cpu.state, readTimestamp(cpu));
}

/** RDTSCP. */
export function readTimestampAndProcessor(cpu: Cpu): void {
  setPair(cpu.state, readTimestamp(cpu));
  cpu.state.setGpr(RCX, readMsr(cpu, MSR.TSC_AUX));
}

/** There are no performance counters (CPUID 0xa says so): every index is invalid. */
export function readPerformanceCounter(): never {
  throw new GuestFault(VECTOR.GP, 0);
}

/** RDMSR. */
export function readModelSpecific(cpu: Cpu): void {
  setPair(cpu.state, readMsr(cpu, low(cpu.state, RCX)));
}

/** WRMSR. */
export function writeModelSpecific(cpu: Cpu): void {
  const { state } = cpu;
  writeMsr(cpu, low(state, RCX), (BigInt(low(state, RDX)) << 32n) | BigInt(low(state, RAX)));
}

// What the CPU tells about itself and the time: CPUID, RDTSC, RDTSCP, RDPID, RDPMC, RDMSR, WRMSR, RDRAND, RDSEED; and what it
// does to its caches.
import type { Instruction } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { ofState } from "../cpuid.ts";
import { GuestFault } from "../fault.ts";
import { STATUS_FLAGS } from "../lazy_flags.ts";
import { linearAddress } from "../linear.ts";
import { MSR, readMsr, readTimestamp, writeMsr } from "../msr.ts";
import { effectiveAddress, writeRegister } from "../operands.ts";
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
  const leaf = low(state, RAX);
  const answer = cpu.surroundings.cpuid(leaf, low(state, RCX));
  const [eax, ebx, ecx, edx] = ofState(answer, leaf, state.control("cr4"));
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

/** RDPID. */
export function readProcessor(cpu: Cpu, { op0Register }: Instruction): void {
  writeRegister(cpu.state, op0Register, readMsr(cpu, MSR.TSC_AUX));
}

/** RDRAND, RDSEED: there always is a number (CF). */
export function readRandom(cpu: Cpu, { op0Register }: Instruction): void {
  const { state } = cpu;
  writeRegister(state, op0Register, cpu.surroundings.random());
  state.rflags = (state.rflags & ~STATUS_FLAGS) | BigInt(RFLAGS.CF);
}

/** CLFLUSH, CLFLUSHOPT, CLWB: nobody sees a cache here; the address is judged as that of a load of one byte (SDM vol. 2). */
export function touchLine(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const linear = linearAddress(state, segment, offset, 1, false);
  cpu.memory.translate(linear, { write: false, execute: false, user: state.cpl === 3 });
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

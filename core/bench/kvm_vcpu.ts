// A virtual CPU of the KVM engine with a program in it, and no monitor.
import { startBare } from "../engine/bare_start.ts";
import { kvm } from "../engine/kvm/engine.ts";
import type { Vcpu } from "../engine/vcpu.ts";
import { NESTED_CONTROLS } from "../vmm/full_hw.ts";
import { assembleKernel, bareProgram } from "./embedded.ts";

const MEMORY = 2 << 20;

/** 32 bits, flat, as a boot loader leaves it. Throws `KvmUnavailable` where there is no KVM. */
export function createKvmVcpu(program: string): Vcpu {
  const image = bareProgram("protected32", MEMORY, assembleKernel(program, 32));
  const vcpu = kvm.create({
    memory: MEMORY,
    controls: NESTED_CONTROLS,
    timestamp: () => 0n,
    cpuid: () => [0, 0, 0, 0],
    count: () => {},
  });
  startBare(vcpu, image);
  return vcpu;
}

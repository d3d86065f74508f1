// What CPUID tells a hybrid guest: the plain CPU, that there is a hypervisor, and KVM's two leaves.
import { cpuid } from "../../cpu/cpuid.ts";
import type { CpuidResult } from "../../cpu/cpu.ts";
import { KVM_CPUID_FEATURES, KVM_CPUID_SIGNATURE, KVM_FEATURE, KVM_SIGNATURE } from "./kvm_abi.ts";

/** The features that this VMM has, and no others are announced. */
export const OFFERED_FEATURES: readonly (keyof typeof KVM_FEATURE)[] = [
  "CLOCKSOURCE",
  "NOP_IO_DELAY",
  "CLOCKSOURCE2",
  "STEAL_TIME",
  "PV_EOI",
  "PV_UNHALT",
  "PV_SEND_IPI",
  "PV_SCHED_YIELD",
  "CLOCKSOURCE_STABLE",
];

/** Leaf 1: what this board's local APIC brings besides the CPU's own (SDM vol. 2, tables 3-10 and 3-11). */
const LEAF_FEATURES = 1;
const ECX_TSC_DEADLINE = 1 << 24;
const EDX_APIC = 1 << 9;

/** CPUID as a guest of this VMM sees it. All values unsigned. */
export function kvmCpuid(leaf: number, subleaf: number): CpuidResult {
  switch (leaf >>> 0) {
    case LEAF_FEATURES: {
      const [eax, ebx, ecx, edx] = cpuid(leaf, subleaf, { hypervisor: true });
      return [eax, ebx, (ecx | ECX_TSC_DEADLINE) >>> 0, (edx | EDX_APIC) >>> 0];
    }
    case KVM_CPUID_SIGNATURE: {
      const words = new DataView(new TextEncoder().encode(KVM_SIGNATURE).buffer);
      return [
        KVM_CPUID_FEATURES,
        words.getUint32(0, true),
        words.getUint32(4, true),
        words.getUint32(8, true),
      ];
    }
    case KVM_CPUID_FEATURES: {
      const bits = OFFERED_FEATURES.reduce((sum, name) => sum | 1 << KVM_FEATURE[name], 0);
      return [bits >>> 0, 0, 0, 0];
    }
    default:
      return cpuid(leaf, subleaf, { hypervisor: true });
  }
}

// What CPUID tells a hybrid guest: the plain CPU, the bit that says "hypervisor", and KVM's two leaves.
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

/** Leaf 1: ECX bit 31, and what the board's local APIC brings: ECX bit 24 (TSC deadline), EDX bit 9 (APIC). */
const LEAF_FEATURES = 1;
const HYPERVISOR = 1 << 31;
const TSC_DEADLINE = 1 << 24;
const APIC = 1 << 9;

/** CPUID as a guest of this VMM sees it. All values unsigned. */
export function kvmCpuid(leaf: number, subleaf: number): CpuidResult {
  switch (leaf) {
    case LEAF_FEATURES: {
      const [eax, ebx, ecx, edx] = cpuid(leaf, subleaf);
      return [eax, ebx, (ecx | HYPERVISOR | TSC_DEADLINE) >>> 0, (edx | APIC) >>> 0];
    }
    case KVM_CPUID_SIGNATURE: {
      const [ebx, ecx, edx] = signatureWords(KVM_SIGNATURE);
      return [KVM_CPUID_FEATURES, ebx, ecx, edx];
    }
    case KVM_CPUID_FEATURES: {
      const bits = OFFERED_FEATURES.reduce((sum, name) => sum | 1 << KVM_FEATURE[name], 0);
      return [bits >>> 0, 0, 0, 0];
    }
    default:
      return cpuid(leaf, subleaf);
  }
}

/** Twelve characters as three registers, first character lowest. */
function signatureWords(text: string): [number, number, number] {
  const view = new DataView(new TextEncoder().encode(text).buffer);
  return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
}

// What CPUID says to a guest that asks by the forced-emulation prefix: the processor's leaves with the hypervisor bit, and
// Xen's own (xen/include/public/arch-x86/cpuid.h). Without the prefix the instruction is not privileged, so it goes past Xen
// and tells of the bare processor: the classic hole of paravirtualization.
import type { CpuidResult } from "../../cpu/cpu.ts";
import { withoutMonitor } from "../../cpu/cpuid.ts";
import { XEN_CPUID_BASE, XEN_CPUID_SIGNATURE, XEN_VERSION } from "./abi.ts";

/** Leaves from the base that exist: signature, version, hypercall pages and features, time. */
const LAST_LEAF = XEN_CPUID_BASE + 3;
const MSR_HYPERCALL_PAGE = 0x40000000;
/** Feature of leaf 2: mmu_update can preserve accessed and dirty bits. */
const MMU_PT_UPDATE_PRESERVE_AD = 1;
/** CPUID.1:ECX bit 31. */
const HYPERVISOR = 1 << 31;

/** What Xen keeps for itself besides MONITOR: contexts (CPUID.1:ECX, CPUID.7:EBX), and page tables of five levels (CPUID.7:ECX). */
const PCID = 1 << 17, INVPCID = 1 << 10, LA57 = 1 << 16;

/** `base` tells the processor's leaves. */
export function xenCpuid(
  base: (leaf: number, subleaf: number) => CpuidResult,
  leaf: number,
  subleaf: number,
): CpuidResult {
  switch (leaf) {
    case 1: {
      const [eax, ebx, ecx, edx] = withoutMonitor(base(leaf, subleaf), leaf);
      return [eax, ebx, (ecx & ~PCID | HYPERVISOR) >>> 0, edx];
    }
    case 7: {
      const [eax, ebx, ecx, edx] = base(leaf, subleaf);
      return subleaf === 0
        ? [eax, (ebx & ~INVPCID) >>> 0, (ecx & ~LA57) >>> 0, edx]
        : [eax, ebx, ecx, edx];
    }
    case XEN_CPUID_BASE: {
      const signature = new DataView(new TextEncoder().encode(XEN_CPUID_SIGNATURE).buffer);
      const word = (at: number) => signature.getUint32(at, true);
      return [LAST_LEAF, word(0), word(4), word(8)];
    }
    case XEN_CPUID_BASE + 1:
      return [XEN_VERSION.major << 16 | XEN_VERSION.minor, 0, 0, 0];
    case XEN_CPUID_BASE + 2:
      return [1, MSR_HYPERCALL_PAGE, MMU_PT_UPDATE_PRESERVE_AD, 0];
    case LAST_LEAF:
      return [0, 0, 0, 0];
    default:
      return withoutMonitor(base(leaf, subleaf), leaf);
  }
}

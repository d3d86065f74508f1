// `full-hw`: an unmodified guest under intercept controls, as VT-x and AMD-V have them. What is intercepted is a VM exit,
// handled by its reason; everything else the CPU does itself. Nested page tables, or (`full-hw/shadow`, the first
// generation of the hardware) shadow ones, for which page faults, CR3 and INVLPG have to exit too.
import { CR0, CR4, VECTOR } from "../base/registers.ts";
import type { Intercepts } from "../cpu/intercepts.ts";
import { MSR } from "../cpu/msr.ts";
import { treatments } from "../cpu/sensitive_operations.ts";
import type { ExecutionControls } from "../engine/vcpu.ts";
import { BACKEND_DESCRIPTIONS } from "./descriptions.ts";
import {
  deviceMemory,
  emulated,
  type ExitHandlers,
  halt,
  ignored,
  injectException,
  interruptWindow,
  msrRead,
  portIo,
  tripleFault,
  undefinedInstruction,
} from "./exit_handlers.ts";
import type { BackendDefinition } from "./monitor.ts";
import { PcMonitor } from "./pc_monitor.ts";

/**
 * What of CR0, CR4 and the MSRs is the guest's own, as KVM on VT-x has it: bits that change nothing a VMM has to know of, and
 * registers that every exit and entry exchanges anyway (arch/x86/kvm/kvm_cache_regs.h, vmx/vmx.c). KVM gives CR0.WP away too
 * since 2023.
 */
const GUEST_CR0 = BigInt(CR0.TS);
const GUEST_CR4 = BigInt(
  CR4.TSD | CR4.DE | CR4.PCE | CR4.FSGSBASE | CR4.OSFXSR | CR4.OSXMMEXCPT,
);
const GUEST_MSRS = [
  MSR.SYSENTER_CS,
  MSR.SYSENTER_ESP,
  MSR.SYSENTER_EIP,
  MSR.FS_BASE,
  MSR.GS_BASE,
  MSR.KERNEL_GS_BASE,
];

function intercepts(guestCr4: bigint): Intercepts {
  return {
    cr0: ~GUEST_CR0,
    cr4: ~guestCr4,
    // The counter is read at the guest's offset.
    readableMsrs: new Set([...GUEST_MSRS, MSR.TSC]),
    writableMsrs: new Set(GUEST_MSRS),
  };
}

/** The controls of nested paging: only what the table intercepts leaves the guest, and no exception does. */
export const NESTED_CONTROLS: ExecutionControls = {
  kernel: treatments("intercepted"),
  user: treatments("intercepted"),
  exceptionVia: "vm-exit",
  // KVM takes #DB, #UD and #AC for reasons of its own; the technique needs none.
  exceptions: 0,
  // Global pages are the business of the guest's own tables.
  intercepts: intercepts(GUEST_CR4 | BigInt(CR4.PGE)),
  paging: "nested",
};

/** CR3 is the shadow tables' root, so that reading it has to leave as well (SDM vol. 3, 25.6.2, CR3-store exiting). */
const SHADOWED = treatments("intercepted", {
  "mov-to-cr3": "vm-exit",
  "mov-from-cr3": "vm-exit",
  "invlpg": "vm-exit",
});

/** The controls of shadow paging. */
export const SHADOW_CONTROLS: ExecutionControls = {
  kernel: SHADOWED,
  user: SHADOWED,
  exceptionVia: "vm-exit",
  exceptions: 1 << VECTOR.PF,
  intercepts: intercepts(GUEST_CR4),
  paging: "shadow",
};

/** By VMX exit reason. Exits whose handling is the architecture's own meaning of the instruction are emulated. */
export const HARDWARE_HANDLERS: ExitHandlers = {
  "cpuid": emulated,
  "cr-access": emulated,
  "dr-access": emulated,
  "ept-violation": deviceMemory,
  "exception": (exit, machine) => injectException(machine, { type: "exception", ...exit.detail }),
  "hlt": halt,
  "interrupt-window": interruptWindow,
  "invd": emulated,
  "invlpg": emulated,
  "invpcid": emulated,
  "io": portIo,
  "monitor": ignored,
  "msr-read": msrRead,
  "msr-write": emulated,
  "mwait": ignored,
  "pause": emulated,
  "rdpmc": emulated,
  "rdtsc": emulated,
  "rdtscp": emulated,
  "task-switch": emulated,
  "triple-fault": tripleFault,
  // A VMM that hides has no hypercalls.
  "vmcall": undefinedInstruction,
  "wbinvd": emulated,
  "xsetbv": emulated,
};

export const fullHw: BackendDefinition = {
  ...BACKEND_DESCRIPTIONS["full-hw"],
  create: (setup) =>
    new PcMonitor(setup, {
      controls: NESTED_CONTROLS,
      handlers: HARDWARE_HANDLERS,
      preempts: "vm-exit",
    }),
};

export const fullHwShadow: BackendDefinition = {
  ...BACKEND_DESCRIPTIONS["full-hw/shadow"],
  create: (setup) =>
    new PcMonitor(setup, {
      controls: SHADOW_CONTROLS,
      handlers: HARDWARE_HANDLERS,
      preempts: "vm-exit",
    }),
};

// A host whose KVM is PVM, virtualization in software where the hardware has none to give: what is known to be missing there, so
// that a guest that needs it is skipped with a reason and not failed. Nothing here asserts what PVM does right.
//
// vmcall and vmmcall of a guest never end there, but a signal does get KVM_RUN back (tried: real mode and 64-bit mode): the
// time limit of a run finds the guest still at the instruction. No process has to be killed for it.
import type { Libc } from "./libc.ts";

/** Is this host's KVM PVM? */
export function isPvm(libc: Libc): boolean {
  return libc.exists("/sys/module/kvm_pvm");
}

/** For `doctor`. */
export const PVM_NOTE =
  "this host's KVM is PVM (software): no 32-bit paging, hypercalls, INT n, SYSCALL from user mode, nor x87 and SSE in the kernel";

/** What KVM's emulation does not know on any host is the guest's loss there, as PVM emulates all of a kernel's code. */
export function emulationGap(instruction: string): string {
  return `PVM, this host's software KVM, does not emulate ${instruction || "the instruction"}`;
}

export const PAGING_GAP = "PVM, this host's software KVM, has no 32-bit paging";
export const HYPERCALL_GAP = "A hypercall never ends on PVM, this host's software KVM";

/** 0f 01 c1, 0f 01 d9. */
export function isHypercall([first, second, third]: Uint8Array): boolean {
  return first === 0x0f && second === 0x01 && (third === 0xc1 || third === 0xd9);
}

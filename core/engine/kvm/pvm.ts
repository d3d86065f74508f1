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

const PVM = "PVM, this host's software KVM,";

/** For `doctor`. */
export const PVM_NOTE =
  "this host's KVM is PVM (software): no 32-bit paging, hypercalls, INT n, SYSCALL from user mode, nor x87 and SSE in the kernel";

/** What KVM's emulation does not know on any host is the guest's loss there, as PVM emulates all of a kernel's code. */
export function emulationGap(instruction: string): string {
  return `${PVM} does not emulate ${instruction || "the instruction"}`;
}

/** Where a guest was when PVM ended it with a triple fault. */
export interface Shutdown {
  readonly instruction: string;
  readonly cpl: number;
  readonly long: boolean;
  /** At the first instruction of its handler of system calls. */
  readonly entered: boolean;
}

/** Why that may be PVM's doing, and not the guest's. */
export function shutdownGap({ instruction, cpl, long, entered }: Shutdown): string | undefined {
  if (cpl === 3 || entered) {
    return `${PVM} brings no fault, INT or SYSCALL from user mode to the guest's kernel`;
  }
  if (!long && instruction.startsWith("mov cr0,")) return `${PVM} has no 32-bit paging`;
  if (instruction.startsWith("mov cr4,")) {
    return `${PVM} does not let the guest set all of CR4: ${instruction}`;
  }
  return undefined;
}
export const COUNTER_GAP = `${PVM} shows the host's time stamp counter to its guests`;

export const HYPERCALL_GAP = "A hypercall never ends on PVM, this host's software KVM";

/** 0f 01 c1, 0f 01 d9. */
export function isHypercall([first, second, third]: Uint8Array): boolean {
  return first === 0x0f && second === 0x01 && (third === 0xc1 || third === 0xd9);
}

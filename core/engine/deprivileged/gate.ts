// The ways from CPL 3 to the VMM that a guest takes on purpose.
import { HYPERCALL_PORT } from "./shim.ts";

/**
 * The gate in the hypercall page. SYSCALL is the one of Xen's PV interface, and always open; the others save the way through
 * the shim: `vmcall` and `vmmcall` exit by themselves, where the engine shows it; `port` is an OUT that CPL 3 may do.
 */
export type HypercallGate = "syscall" | "vmcall" | "vmmcall" | "port";

/** The instruction. */
export const GATE_BYTES: Readonly<Record<HypercallGate, Uint8Array>> = {
  syscall: Uint8Array.of(0x0f, 0x05),
  vmcall: Uint8Array.of(0x0f, 0x01, 0xc1),
  vmmcall: Uint8Array.of(0x0f, 0x01, 0xd9),
  // OUT imm8, AL
  port: Uint8Array.of(0xe6, HYPERCALL_PORT),
};

/**
 * What becomes of SYSCALL. `refused`: it is switched off, and the VMM finds it behind an undefined opcode, with all registers as
 * they were. `entry`: it enters the shim, as it enters Xen; RCX and R11 are lost by then, and an exception is saved.
 */
export type SystemCalls = "refused" | "entry";

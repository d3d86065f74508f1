// What comes between two instructions, apart from external interrupts, in the order of SDM vol. 3, table 6-2: traps of the
// instruction that is done, an NMI, the breakpoint of the instruction to come.
import { RFLAGS } from "../base/registers.ts";
import { debugException, DR6 } from "./debug.ts";
import type { GuestFault } from "./fault.ts";
import type { SensitiveOperation } from "./sensitive_operations.ts";
import type { CpuState } from "./state.ts";

/**
 * The debug trap that is due, which then is so no longer. Its causes come together, also with the breakpoint of the
 * instruction to come, which has a fault of its own after that (SDM vol. 3, 18.2.3: B0 to B3 tell of conditions).
 */
export function takeTrap(state: CpuState, place: () => bigint): GuestFault | undefined {
  const causes = state.pendingDebug;
  if (causes === 0 || state.interruptShadow === "mov-ss") return undefined;
  state.pendingDebug = 0;
  return debugException(state, causes | breakpointCauses(state, place));
}

/** Is an NMI to be delivered? After STI it may be held back (SDM vol. 2, STI), and test suites of hypervisors expect it. */
export function isNmiDue(state: CpuState): boolean {
  return state.nmiPending && !state.nmiBlocked && !state.interruptShadow;
}

/** It is: until IRET there is no other. */
export function takeNmi(state: CpuState): void {
  state.nmiPending = false;
  state.nmiBlocked = true;
}

/** The fault of an instruction breakpoint at the instruction to come, whose linear address `place` tells. */
export function breakpointAt(state: CpuState, place: () => bigint): GuestFault | undefined {
  const causes = breakpointCauses(state, place);
  return causes === 0 ? undefined : debugException(state, causes);
}

function breakpointCauses(
  { breakpoints, resuming, interruptShadow }: CpuState,
  place: () => bigint,
) {
  if (breakpoints.code.length === 0 || resuming || interruptShadow === "mov-ss") return 0;
  return breakpoints.before(place());
}

/** Is RFLAGS.TF set? */
export function isTracing(state: CpuState): boolean {
  return (state.systemFlags & RFLAGS.TF) !== 0;
}

/**
 * Notes the traps of an instruction that has been done; `traced` says whether TF was set before it. Where the instruction
 * goes to a handler or comes back by SYSRET, TF is looked at afterwards (SDM vol. 3, 18.3.1.4; Linux' entry code tells of SYSRET).
 */
export function noteTraps(
  state: CpuState,
  operation: SensitiveOperation | undefined,
  traced: boolean,
): void {
  const later = operation === "int-n" || operation === "syscall" || operation === "sysret";
  const steps = later ? isTracing(state) : traced;
  if (steps && state.interruptShadow !== "mov-ss") state.pendingDebug |= DR6.BS;
  state.pendingDebug |= state.breakpoints.after();
}

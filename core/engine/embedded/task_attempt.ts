// A task switch that the VMM wants to do itself: it leaves from the middle of an instruction or of an event's delivery, when
// all checks are made and nothing has changed (SDM vol. 3, 26.4.2).

import type { Treatment } from "../../cpu/sensitive_operations.ts";

/** Thrown at that place. */
export class TaskSwitchAttempt {
  /** `selector` is the new task's; `treatment` says how it leaves. */
  constructor(readonly selector: number, readonly treatment: Treatment) {}
}

// Limits that a subject can't hold its guest to exactly, because it does not show what they count: a guest that runs until
// the limit on instructions ends elsewhere on real hardware, and that is no fault of anybody's.
import type { EndState } from "../trace/exit.ts";
import type { Trace } from "../trace/trace.ts";
import { hidesSome } from "./hidden.ts";

type LimitName = Extract<EndState, { kind: "limit" }>["limit"];

/** What of a trace tells. */
export type Told = Pick<Trace, "unobserved" | "exitKinds" | "hidden">;

/** Does the subject count what this limit is on? */
export function counts(told: Told, limit: LimitName): boolean {
  switch (limit) {
    case "instructions":
      return !told.unobserved.includes("instructions");
    case "exits":
      return !told.unobserved.includes("exits") && !hidesSome(told, "exits");
    default:
      return true;
  }
}

/** The run was stopped by another limit where, on a subject that counts, it would have been by this one. */
export function stoppedElsewhere(trace: Told & Pick<Trace, "end">, limit: LimitName): boolean {
  return trace.end.kind === "limit" && trace.end.limit !== limit && !counts(trace, limit);
}

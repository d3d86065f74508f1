// The contract of reporters: they take events as a run goes, so that progress, streaming and files are the same thing.
import type { GroupResult } from "../judge/result.ts";
import type { Summary } from "../judge/verdict.ts";

/** What happens in a run, in this order; groups come in the order of the suite, whatever ran at once. */
export type SuiteEvent =
  | { readonly type: "started"; readonly groups: number; readonly cases: number }
  /** A case begins. Only for showing progress: with several jobs, in no particular order. */
  | { readonly type: "case"; readonly id: string }
  | { readonly type: "group"; readonly result: GroupResult }
  | { readonly type: "finished"; readonly outcome: SuiteOutcome };

/** A whole run. */
export interface SuiteOutcome {
  readonly groups: readonly GroupResult[];
  /** Cases, comparisons that did not pass, and scenarios that could not be read, by verdict. */
  readonly summary: Summary;
  /** Errors that are the harness's or the environment's own. */
  readonly harnessErrors: number;
  /** Name of the cost profile that modelled cycles come from. */
  readonly profile: string;
  /** Measured, from the first scenario read to the last verdict. */
  readonly wallNs: number;
}

/** Shows a run to somebody. */
export interface Reporter {
  report(event: SuiteEvent): void;
}

/** Where a reporter's text goes. */
export type Write = (text: string) => void;

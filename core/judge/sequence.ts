// The five kinds of expectation on a sequence of events. Events and patterns are both in a scenario's hand (a guest can
// make 200,000 exits), so every search has a budget of pattern trials; what is undecided then is not met, and says so.
import type { EventPattern, SequenceExpectation } from "../scenario/case.ts";
import { Budget } from "./budget.ts";
import type { Bindings } from "./match.ts";
import { ordered } from "./ordered.ts";
import { compilePattern, type Happening, type Pattern } from "./pattern.ts";
import { anyOrder, never } from "./unordered.ts";

export type SequenceKind = Exclude<keyof SequenceExpectation, "counts">;

/** What became of one pattern of the expectation. */
export interface PatternStatus {
  readonly pattern: Pattern;
  readonly met: boolean;
  /** Index of the (first) event that met it; of a pattern not met, the nearest candidate. */
  readonly event?: number;
  /** The candidate comes nearest, but came before this pattern's turn. */
  readonly earlier?: boolean;
  /** How many events matched, where that is the point. */
  readonly count?: number;
}

export interface SequenceStatus {
  readonly met: boolean;
  readonly patterns: readonly PatternStatus[];
  /** `exactly`: index of the first event that no pattern asked for, when all patterns are met. */
  readonly surplus?: number;
  /** Names bound where it went wrong, if it did. */
  readonly names?: Bindings;
  /** The search gave up. */
  readonly undecided?: boolean;
}

/** Judges `events` by the patterns. Names bound by a match that holds are kept in `bindings`. */
export function judgeSequence(
  kind: SequenceKind,
  sources: readonly EventPattern[],
  events: readonly Happening[],
  bindings: Bindings,
  budget: Budget = new Budget(),
): SequenceStatus {
  const patterns = sources.map(compilePattern);
  switch (kind) {
    case "exactly":
    case "inOrder":
      return ordered(kind, patterns, events, bindings, budget);
    case "anyOrder":
      return anyOrder(patterns, events, bindings, budget);
    case "never":
      return never(patterns, events, bindings, budget);
    default:
      return kind satisfies never;
  }
}

// Finds the event that comes nearest to a pattern that nothing met.
import { Budget } from "./budget.ts";
import type { Bindings } from "./match.ts";
import { type Happening, nearness, type Pattern } from "./pattern.ts";
import type { PatternStatus } from "./sequence.ts";

/** How many patterns after the one that failed are explained. */
const EXPLAINED = 50;

/**
 * For the patterns from the first that has no place: its nearest event (of `exactly`, the one in its place), and whether
 * those after it would have had a place without it.
 */
export function explainRest(
  kind: "exactly" | "inOrder",
  patterns: readonly Pattern[],
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
): PatternStatus[] {
  const budget = new Budget();
  let position = from;
  return patterns.map((pattern, i): PatternStatus => {
    if (i >= EXPLAINED) return { pattern, met: false };
    const event = i === 0 && kind === "exactly" && events[from]
      ? from
      : nearest(pattern, events, position, bindings, budget);
    const found = event === undefined ? undefined : events[event];
    if (event === undefined || !found) return { pattern, met: false };
    const met = i > 0 && nearness(pattern, found, bindings) > pattern.fields.length;
    if (met) position = event + 1;
    return { pattern, met, event };
  });
}

/** The event at or after `from` that is nearest to the pattern; of several the first; else any event there is. */
export function nearest(
  pattern: Pattern,
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
  budget: Budget,
): number | undefined {
  let best: number | undefined = events[from] ? from : undefined;
  let score = 0;
  for (let i = from; i < events.length && budget.take(); i++) {
    const event = events[i];
    const near = event ? nearness(pattern, event, bindings) : 0;
    if (near > score) [best, score] = [i, near];
    if (score > pattern.fields.length) break;
  }
  return best;
}

// Finds the event that comes nearest to a pattern that nothing met.
import { Budget } from "./budget.ts";
import type { Bindings } from "./match.ts";
import { type Happening, nearness, type Pattern } from "./pattern.ts";
import type { PatternStatus } from "./sequence.ts";

/** How many patterns after the one that failed are explained. */
const EXPLAINED = 50;

/**
 * For the patterns from the first that has no place: its nearest event (of `exactly`, the one in its place), and whether
 * those after it would have had a place without it. Events in `taken` belong to the patterns before.
 */
export function explainRest(
  kind: "exactly" | "inOrder",
  patterns: readonly Pattern[],
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
  taken: ReadonlySet<number>,
): PatternStatus[] {
  const budget = new Budget();
  let position = from;
  return patterns.map((pattern, i): PatternStatus => {
    if (i >= EXPLAINED) return { pattern, met: false };
    const event = i === 0 && kind === "exactly" && events[from]
      ? from
      : nearest(pattern, events, position, bindings, budget, taken) ??
        (events[position] && position);
    const found = event === undefined ? undefined : events[event];
    const counted = i === 0 && pattern.source.times
      ? { count: runOf(pattern, events, from, bindings, budget) }
      : {};
    if (event === undefined || !found) return { pattern, met: false, ...counted };
    if (event < position) return { pattern, met: false, event, earlier: true, ...counted };
    const met = i > 0 && nearness(pattern, found, bindings) > pattern.fields.length;
    if (met) position = event + 1;
    return { pattern, met, event, ...counted };
  });
}

/** The longest run of events at or after `from` that match the pattern. */
function runOf(
  pattern: Pattern,
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
  budget: Budget,
): number {
  let longest = 0;
  let run = 0;
  for (let i = from; i < events.length && budget.take(); i++) {
    const event = events[i];
    run = event && nearness(pattern, event, bindings) > pattern.fields.length ? run + 1 : 0;
    longest = Math.max(longest, run);
  }
  return longest;
}

/**
 * The event of the pattern's kind that is nearest to it: at or after `from`, but an earlier one that fits better; of
 * several the first. Those `taken` belong to other patterns. Undefined where there is none of its kind.
 */
export function nearest(
  pattern: Pattern,
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
  budget: Budget,
  taken: ReadonlySet<number> = new Set(),
): number | undefined {
  let best: number | undefined;
  let score = 0;
  // From `from` to the end, then from the start up to it.
  for (let n = 0; n < events.length && budget.take(); n++) {
    const i = (from + n) % events.length;
    const event = events[i];
    const near = event && !taken.has(i) ? nearness(pattern, event, bindings) : 0;
    if (near > score) [best, score] = [i, near];
    if (score > pattern.fields.length) break;
  }
  return best;
}

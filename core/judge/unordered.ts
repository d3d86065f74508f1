// `any-order` and `never`: expectations that do not ask what came first.
import { assign } from "./assignment.ts";
import { Budget } from "./budget.ts";
import type { Bindings } from "./match.ts";
import { nearest } from "./nearest.ts";
import { type Happening, matchesPattern, nearness, type Pattern } from "./pattern.ts";
import type { PatternStatus, SequenceStatus } from "./sequence.ts";
import { timesMatch } from "./times.ts";

/**
 * Patterns with `times` are counted among all events; the others each need an event of their own, in whatever order.
 */
export function anyOrder(
  patterns: readonly Pattern[],
  events: readonly Happening[],
  bindings: Bindings,
  budget: Budget,
): SequenceStatus {
  const single = patterns.filter((p) => !p.source.times);
  const assigned = assign(single, events, bindings, budget);
  const statuses = patterns.map((pattern): PatternStatus => {
    if (pattern.source.times) {
      const { count, first, bound } = countMatches(pattern, events, bindings, budget);
      const counted = timesMatch(pattern, count, bound);
      if (counted) { for (const [name, value] of counted) bindings.set(name, value); }
      return { pattern, met: !!counted, count, ...(first === undefined ? {} : { event: first }) };
    }
    const own = assigned.get(pattern);
    if (own !== undefined) return { pattern, met: true, event: own };
    const event = nearest(pattern, events, 0, bindings, new Budget());
    const candidate = event === undefined ? undefined : events[event];
    // One that matches in full is another pattern's: it would explain nothing.
    const taken = candidate && nearness(pattern, candidate, bindings) > pattern.fields.length;
    return { pattern, met: false, ...(event === undefined || taken ? {} : { event }) };
  });
  const met = !budget.spent && statuses.every((s) => s.met);
  return { met, patterns: statuses, ...(budget.spent ? { undecided: true } : {}) };
}

/** How many events match the pattern; the first that does binds its names. */
function countMatches(
  pattern: Pattern,
  events: readonly Happening[],
  bindings: Bindings,
  budget: Budget,
): { count: number; first?: number; bound: Bindings } {
  let count = 0;
  let first: number | undefined;
  let bound = bindings;
  for (const [i, event] of events.entries()) {
    if (event.kind !== pattern.kind) continue;
    if (!budget.take()) break;
    const after = pattern.binds ? new Map(bound) : bound;
    if (!matchesPattern(pattern, event, after)) continue;
    bound = after;
    count++;
    first ??= i;
  }
  return { count, bound, ...(first === undefined ? {} : { first }) };
}
/** No event may match. A name that is not bound yet matches anything, and stays unbound. */
export function never(
  patterns: readonly Pattern[],
  events: readonly Happening[],
  bindings: Bindings,
  budget: Budget,
): SequenceStatus {
  const statuses = patterns.map((pattern): PatternStatus => {
    for (const [i, event] of events.entries()) {
      if (event.kind !== pattern.kind) continue;
      if (!budget.take()) break;
      if (matchesPattern(pattern, event, new Map(bindings))) {
        return { pattern, met: false, event: i };
      }
    }
    return { pattern, met: true };
  });
  const met = !budget.spent && statuses.every((s) => s.met);
  return { met, patterns: statuses, ...(budget.spent ? { undecided: true } : {}) };
}

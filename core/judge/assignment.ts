// Gives each pattern of `any-order` an event of its own.
import type { Bindings } from "./match.ts";
import { type Happening, matchesPattern, type Pattern } from "./pattern.ts";
import type { Budget } from "./budget.ts";

/**
 * Assigns distinct events to as many patterns as it can; index of the event by pattern. Without bound names it is a
 * maximum matching (augmenting paths). With them, patterns take the first free event that fits, in the order written,
 * and names are bound as they go: write the pattern that binds a name before those that use it.
 */
export function assign(
  patterns: readonly Pattern[],
  events: readonly Happening[],
  bindings: Bindings,
  budget: Budget,
): Map<Pattern, number> {
  const taken = new Map<number, Pattern>();
  const assigned = new Map<Pattern, number>();
  for (const pattern of patterns.filter((p) => p.binds)) {
    const free = firstFit(pattern, events, taken, bindings, budget);
    if (free === undefined) continue;
    taken.set(free, pattern);
    assigned.set(pattern, free);
  }
  const fixed = new Set(taken.keys());
  const plain = patterns.filter((p) => !p.binds);
  const candidates = new Map(
    plain.map((p) => [p, candidatesOf(p, events, fixed, plain.length, budget)]),
  );
  for (const pattern of plain) augment(pattern, candidates, taken, budget);
  for (const [event, pattern] of taken) assigned.set(pattern, event);
  return assigned;
}

function firstFit(
  pattern: Pattern,
  events: readonly Happening[],
  taken: ReadonlyMap<number, Pattern>,
  bindings: Bindings,
  budget: Budget,
): number | undefined {
  for (const [i, event] of events.entries()) {
    if (event.kind !== pattern.kind || taken.has(i)) continue;
    if (!budget.take()) return undefined;
    const after = new Map(bindings);
    if (!matchesPattern(pattern, event, after)) continue;
    for (const [name, value] of after) bindings.set(name, value);
    return i;
  }
  return undefined;
}

/** Events that fit; no more than there are patterns, as one of so many is always left for this one. */
function candidatesOf(
  pattern: Pattern,
  events: readonly Happening[],
  fixed: ReadonlySet<number>,
  limit: number,
  budget: Budget,
): number[] {
  const found: number[] = [];
  for (const [i, event] of events.entries()) {
    if (found.length >= limit) break;
    if (event.kind !== pattern.kind || fixed.has(i)) continue;
    if (!budget.take()) break;
    if (matchesPattern(pattern, event, new Map())) found.push(i);
  }
  return found;
}

/** Finds a free event for the pattern, moving others where needed: breadth first, each event looked at once. */
function augment(
  pattern: Pattern,
  candidates: ReadonlyMap<Pattern, readonly number[]>,
  taken: Map<number, Pattern>,
  budget: Budget,
): void {
  const cameFrom = new Map<number, Pattern>();
  const lastOf = new Map<Pattern, number>();
  const queue: Pattern[] = [pattern];
  for (const current of queue) {
    for (const event of candidates.get(current) ?? []) {
      if (!budget.take()) return;
      if (cameFrom.has(event)) continue;
      cameFrom.set(event, current);
      const holder = taken.get(event);
      if (holder) {
        lastOf.set(holder, event);
        queue.push(holder);
        continue;
      }
      // Free: hand the events on along the way back.
      for (let at: number | undefined = event; at !== undefined;) {
        const owner = cameFrom.get(at);
        if (!owner) return;
        taken.set(at, owner);
        at = lastOf.get(owner);
      }
      return;
    }
  }
}

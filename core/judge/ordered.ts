// `exactly` and `in-order`: finds a place in the sequence of events for each pattern, one after the other.
import type { Budget } from "./budget.ts";
import type { Bindings } from "./match.ts";
import { explainRest } from "./nearest.ts";
import { type Happening, matchesPattern, type Pattern } from "./pattern.ts";
import type { PatternStatus, SequenceStatus } from "./sequence.ts";
import { leastTimes, mostTimes, timesMatch } from "./times.ts";

/** A pattern's place in a tried match: the run of `length` events from `start`, and the names bound. */
interface Step {
  readonly start: number;
  readonly length: number;
  readonly before: Bindings;
  readonly after: Bindings;
  /** The other places for it, best first. */
  readonly others: Iterator<Place>;
}

interface Place {
  readonly start: number;
  readonly length: number;
  /** Names bound after it. */
  readonly bindings: Bindings;
}

/**
 * Finds a place for each pattern by backtracking, without recursion: a scenario may list thousands of patterns. Where no
 * name is bound, a pattern that failed from a position fails from there again, and is not tried twice.
 */
export function ordered(
  kind: "exactly" | "inOrder",
  patterns: readonly Pattern[],
  events: readonly Happening[],
  bindings: Bindings,
  budget: Budget,
): SequenceStatus {
  const places = kind === "exactly" ? adjacentPlaces : laterPlaces;
  const anyBinds = patterns.some((p) => p.binds || p.source.times?.is === "bound");
  const failed = new Set<number>();
  const steps: Step[] = [];
  let furthest: readonly Step[] = [];
  let position = 0;
  let bound: Bindings = bindings;
  let others = patterns[0] ? places(patterns[0], events, 0, bound, budget) : undefined;
  while (others) {
    const place = others.next();
    if (!place.done) {
      const { start, length } = place.value;
      steps.push({ start, length, before: bound, after: place.value.bindings, others });
      position = start + length;
      bound = place.value.bindings;
      if (steps.length > furthest.length) furthest = [...steps];
      const next = patterns[steps.length];
      if (next && !failed.has(steps.length * (events.length + 1) + position)) {
        others = places(next, events, position, bound, budget);
        continue;
      }
      if (!next && (kind === "inOrder" || position === events.length)) {
        for (const [name, value] of bound) bindings.set(name, value);
        return { met: true, patterns: statusOf(patterns, steps, []) };
      }
    } else if (!anyBinds) {
      failed.add(steps.length * (events.length + 1) + position);
    }
    const last = takeBack(steps, (i) => kind === "exactly" || !!patterns[i]?.binds);
    others = budget.spent ? undefined : last?.others;
    if (last) {
      bound = last.before;
      const before = steps.at(-1);
      position = before ? before.start + before.length : 0;
    }
  }
  if (patterns.length === 0 && (kind === "inOrder" || events.length === 0)) {
    return { met: true, patterns: [] };
  }
  const end = furthest.at(-1);
  const reached = end ? end.start + end.length : 0;
  const names = end?.after ?? bindings;
  const taken = new Set(
    furthest.flatMap(({ start, length }) => Array.from({ length }, (_, i) => start + i)),
  );
  const rest = explainRest(kind, patterns.slice(furthest.length), events, reached, names, taken);
  return {
    met: false,
    patterns: statusOf(patterns, furthest, rest),
    names,
    ...(furthest.length === patterns.length && reached < events.length ? { surplus: reached } : {}),
    ...(budget.spent ? { undecided: true } : {}),
  };
}

/**
 * Takes the last pattern back whose other places are worth a try: with others in between allowed, a later place for a
 * pattern that binds no name can't help those after it.
 */
function takeBack(steps: Step[], worthRetrying: (index: number) => boolean): Step | undefined {
  for (let last = steps.pop(); last; last = steps.pop()) {
    if (worthRetrying(steps.length)) return last;
  }
  return undefined;
}

function statusOf(
  patterns: readonly Pattern[],
  steps: readonly Step[],
  rest: readonly PatternStatus[],
): PatternStatus[] {
  const met = steps.flatMap((step, i): PatternStatus[] => {
    const pattern = patterns[i];
    return pattern ? [{ pattern, met: true, event: step.start, count: step.length }] : [];
  });
  return [...met, ...rest];
}

/** Runs of events from `from` on that match, longest first, as `times` allows. */
function* adjacentPlaces(
  pattern: Pattern,
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
  budget: Budget,
): Iterator<Place> {
  const { times } = pattern.source;
  const longest = times ? mostTimes(times) : 1;
  const runs: Bindings[] = [bindings];
  let bound = bindings;
  while (runs.length <= longest && from + runs.length - 1 < events.length && budget.take()) {
    const event = events[from + runs.length - 1];
    if (!event || event.kind !== pattern.kind) break;
    const after = pattern.binds ? new Map(bound) : bound;
    if (!matchesPattern(pattern, event, after)) break;
    runs.push(bound = after);
  }
  for (let length = runs.length - 1; length >= 0 && budget.take(); length--) {
    const after = runs[length];
    const counted = timesMatch(pattern, length, after ?? bindings);
    if (counted) yield { start: from, length, bindings: counted };
  }
}

/** The first run of enough events at or after `from`, then later ones: others may come between patterns. */
function* laterPlaces(
  pattern: Pattern,
  events: readonly Happening[],
  from: number,
  bindings: Bindings,
  budget: Budget,
): Iterator<Place> {
  const wanted = leastTimes(pattern, bindings);
  if (wanted === 0) yield { start: from, length: 0, bindings };
  if (wanted === 0 || wanted === undefined) return;
  let start = from;
  while (start + wanted <= events.length) {
    let bound = bindings;
    let length = 0;
    while (length < wanted) {
      const event = events[start + length];
      if (!event || !budget.take()) break;
      const after = pattern.binds ? new Map(bound) : bound;
      if (!matchesPattern(pattern, event, after)) break;
      bound = after;
      length++;
    }
    if (budget.spent) return;
    if (length === wanted) yield { start, length, bindings: bound };
    // Without names, no run that begins inside a failed one can be long enough.
    start += pattern.binds || length === wanted ? 1 : length + 1;
  }
}

// How often a pattern is to match: what its `times` allows.
import { type Bindings, matchValue } from "./match.ts";
import type { Pattern } from "./pattern.ts";

/** Bindings after counting `count`, or undefined where `times` does not allow it. */
export function timesMatch(
  pattern: Pattern,
  count: number,
  bindings: Bindings,
): Bindings | undefined {
  const { times } = pattern.source;
  if (!times) return count === 1 ? bindings : undefined;
  const after = times.is === "literal" ? bindings : new Map(bindings);
  return matchValue(times, BigInt(count), after) ? after : undefined;
}

/** The most events in a row that `times` could allow. */
export function mostTimes(times: NonNullable<Pattern["source"]["times"]>): number {
  if (times.is === "literal" && typeof times.value === "bigint") return Number(times.value);
  if (times.is === "range" && times.atMost !== undefined) return Number(times.atMost);
  return Infinity;
}

/** How high `leastTimes` looks for a count that an unusual `times` (`one-of`, `not`) allows. */
const TIMES_SEARCH = 4096;

/** The fewest events that satisfy `times`, or undefined where none do. */
export function leastTimes(pattern: Pattern, bindings: Bindings): number | undefined {
  const { times } = pattern.source;
  if (!times) return 1;
  if (times.is === "literal") {
    return typeof times.value === "bigint" ? Number(times.value) : undefined;
  }
  if (times.is === "range") return Number(times.atLeast ?? 0n);
  for (let count = 0; count <= TIMES_SEARCH; count++) {
    if (matchValue(times, BigInt(count), new Map(bindings))) return count;
  }
  return undefined;
}

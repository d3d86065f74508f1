// Holds the search for places against a definition that tries everything, over small random traces and patterns.
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { EventPattern } from "../scenario/case.ts";
import type { Exit } from "../trace/exit.ts";
import { type Bindings, matchValue } from "./match.ts";
import { compilePattern, matchesPattern, type Pattern } from "./pattern.ts";
import { judgeSequence } from "./sequence.ts";
import { atLeast, cpuid, match, out, pattern } from "./testing.ts";

const SEED = 20_251;
const RUNS = 3000;

/** Every run of events from `start` on that the pattern could stand for, with the names bound after it. */
function* runs(
  pattern: Pattern,
  events: readonly Exit[],
  start: number,
  bindings: Bindings,
): Iterable<{ end: number; bindings: Bindings }> {
  let bound = new Map(bindings);
  for (let length = 0; start + length <= events.length; length++) {
    if (length > 0) {
      const event = events[start + length - 1];
      bound = new Map(bound);
      if (!event || !matchesPattern(pattern, event, bound)) return;
    }
    const { times } = pattern.source;
    const allowed = times ? matchValue(times, BigInt(length), new Map()) : length === 1;
    if (allowed) yield { end: start + length, bindings: bound };
  }
}

/** Can the patterns be given places one after the other? Between two of them, `gaps` allows others. */
function possible(
  patterns: readonly Pattern[],
  events: readonly Exit[],
  start: number,
  bindings: Bindings,
  gaps: boolean,
): boolean {
  const [first, ...rest] = patterns;
  if (!first) return gaps || start === events.length;
  for (let at = start; at <= (gaps ? events.length : start); at++) {
    for (const { end, bindings: bound } of runs(first, events, at, bindings)) {
      if (possible(rest, events, end, bound, gaps)) return true;
    }
  }
  return false;
}

/** Can each pattern have an event of its own? */
function assignable(patterns: readonly Pattern[], events: readonly Exit[]): boolean {
  const [first, ...rest] = patterns;
  if (!first) return true;
  return events.some((event, i) =>
    matchesPattern(first, event, new Map()) && assignable(rest, events.toSpliced(i, 1))
  );
}

const event: fc.Arbitrary<Exit> = fc.oneof(
  fc.tuple(fc.nat(2), fc.nat(2)).map(([port, value]) => out(port, value)),
  fc.nat(1).map(cpuid),
);
const plainFields = fc.record({ port: fc.nat(2), value: fc.nat(2) }, { requiredKeys: [] });
const boundFields = fc.record({
  port: fc.oneof(fc.nat(2), fc.constantFrom("$a", "$b")),
  value: fc.oneof(fc.nat(2), fc.constantFrom("$a", "$b")),
}, { requiredKeys: [] });
const times = fc.option(fc.oneof(fc.nat(3).map(match), fc.nat(2).map(atLeast)), { nil: undefined });

/** Few enough values that names clash, and that the first match is often the wrong one. */
const clashing: fc.Arbitrary<EventPattern> = fc.record({
  port: fc.constantFrom("$a", "$b"),
  value: fc.constantFrom(0, 1, "$b"),
}).map((fields) => pattern("io", fields));

function patternOf(
  fields: fc.Arbitrary<Record<string, number | string>>,
): fc.Arbitrary<EventPattern> {
  return fc.oneof(
    fc.tuple(fields, times).map(([f, t]) => pattern("io", f, t)),
    times.map((t) => pattern("cpuid", {}, t)),
  );
}

const events = fc.array(event, { maxLength: 7 });

for (const kind of ["exactly", "inOrder"] as const) {
  for (
    const [what, arbitrary] of [
      ["plain patterns", patternOf(plainFields)],
      ["names", patternOf(boundFields)],
      ["names that clash", clashing],
    ] as const
  ) {
    Deno.test(`judgeSequence() finds places for ${kind} with ${what} exactly when there are any`, () => {
      const patterns = fc.array(arbitrary, { maxLength: 4 });
      fc.assert(
        fc.property(patterns, events, (patterns, events) => {
          const compiled = patterns.map(compilePattern);
          const expected = possible(compiled, events, 0, new Map(), kind === "inOrder");
          assertEquals(judgeSequence(kind, patterns, events, new Map()).met, expected);
        }),
        { seed: SEED, numRuns: RUNS },
      );
    });
  }
}

Deno.test("judgeSequence() gives each pattern of any-order an event of its own exactly when it can", () => {
  const patterns = fc.array(plainFields.map((f) => pattern("io", f)), { maxLength: 5 });
  fc.assert(
    fc.property(patterns, events, (patterns, events) => {
      const expected = assignable(patterns.map(compilePattern), events);
      assertEquals(judgeSequence("anyOrder", patterns, events, new Map()).met, expected);
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

Deno.test("judgeSequence() says never exactly when no event matches", () => {
  const patterns = fc.array(plainFields.map((f) => pattern("io", f)), { maxLength: 3 });
  fc.assert(
    fc.property(patterns, events, (patterns, events) => {
      const matches = patterns.map(compilePattern).some((p) =>
        events.some((e) => matchesPattern(p, e, new Map()))
      );
      assertEquals(judgeSequence("never", patterns, events, new Map()).met, !matches);
    }),
    { seed: SEED, numRuns: RUNS },
  );
});

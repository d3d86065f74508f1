import { assert, assertEquals } from "@std/assert";
import type { EventPattern } from "../scenario/case.ts";
import type { Exit } from "../trace/exit.ts";
import { Budget } from "./budget.ts";
import type { Bindings } from "./match.ts";
import { judgeSequence, type SequenceKind } from "./sequence.ts";
import { atLeast, atMost, cpuid, hlt, hypercall, out, pattern } from "./testing.ts";

const EVENTS: readonly Exit[] = [out(0x3f8, 1), out(0x3f8, 2), cpuid(0), out(0x80, 2), hlt()];
const io = (fields = {}, times?: Parameters<typeof pattern>[2]) => pattern("io", fields, times);

interface Row {
  readonly kind: SequenceKind;
  readonly when: string;
  readonly patterns: readonly EventPattern[];
  readonly met: boolean;
  /** Event index of each pattern, where the row is about that. */
  readonly at?: readonly (number | undefined)[];
  readonly events?: readonly Exit[];
}

const ROWS: readonly Row[] = [
  {
    kind: "exactly",
    when: "every event has its pattern",
    patterns: [
      io({ value: 1 }),
      io({ value: 2 }),
      pattern("cpuid"),
      io({ port: 0x80 }),
      pattern("hlt"),
    ],
    met: true,
    at: [0, 1, 2, 3, 4],
  },
  {
    kind: "exactly",
    when: "an event is left over",
    patterns: [io(), io(), pattern("cpuid"), io()],
    met: false,
  },
  {
    kind: "exactly",
    when: "a pattern is left over",
    patterns: [io(), io(), pattern("cpuid"), io(), pattern("hlt"), pattern("hlt")],
    met: false,
  },
  {
    kind: "exactly",
    when: "nothing is wanted and nothing came",
    patterns: [],
    met: true,
    events: [],
  },
  { kind: "exactly", when: "nothing is wanted and something came", patterns: [], met: false },
  {
    kind: "exactly",
    when: "`times` covers a run",
    patterns: [io({}, 2), pattern("cpuid"), io(), pattern("hlt")],
    met: true,
    at: [0, 2, 3, 4],
  },
  {
    kind: "exactly",
    when: "a greedy run must give one back",
    patterns: [io({}, atLeast(1)), io({ value: 2 }), pattern("cpuid"), io(), pattern("hlt")],
    met: true,
    at: [0, 1, 2, 3, 4],
  },
  {
    kind: "exactly",
    when: "`times` is more than there are",
    patterns: [io({}, 3), pattern("cpuid"), io(), pattern("hlt")],
    met: false,
  },
  {
    kind: "exactly",
    when: "`times: 0` stands for nothing",
    patterns: [io({}, 2), pattern("cpuid"), io(), pattern("cpuid", {}, 0), pattern("hlt")],
    met: true,
  },
  {
    kind: "inOrder",
    when: "others come between",
    patterns: [io({ value: 1 }), pattern("hlt")],
    met: true,
    at: [0, 4],
  },
  { kind: "inOrder", when: "the order is wrong", patterns: [pattern("hlt"), io()], met: false },
  {
    kind: "inOrder",
    when: "one event is asked for twice",
    patterns: [pattern("hlt"), pattern("hlt")],
    met: false,
  },
  {
    kind: "inOrder",
    when: "a run of two is there",
    patterns: [io({}, 2), pattern("hlt")],
    met: true,
    at: [0, 4],
  },
  { kind: "inOrder", when: "a run of three is not in a row", patterns: [io({}, 3)], met: false },
  {
    kind: "inOrder",
    when: "a run begins inside a broken one",
    patterns: [pattern("io", {}, 2), pattern("hlt")],
    events: [out(1, 1), hlt(), out(1, 1), out(1, 1), hlt()],
    met: true,
    at: [2, 4],
  },
  {
    kind: "inOrder",
    when: "a later event must bind the name",
    patterns: [io({ port: "$p" }), pattern("cpuid"), io({ port: "$p" })],
    events: [out(1, 0), out(2, 0), cpuid(0), out(2, 0)],
    met: true,
    at: [1, 2, 3],
  },
  {
    kind: "inOrder",
    when: "no event binds the name so that the rest holds",
    patterns: [io({ port: "$p" }), pattern("cpuid"), io({ port: "$p" })],
    events: [out(1, 0), out(2, 0), cpuid(0), out(3, 0)],
    met: false,
  },
  {
    kind: "anyOrder",
    when: "all are there in another order",
    patterns: [pattern("hlt"), io()],
    met: true,
  },
  {
    kind: "anyOrder",
    when: "one event would have to serve twice",
    patterns: [pattern("hlt"), pattern("hlt")],
    met: false,
  },
  {
    kind: "anyOrder",
    when: "the general pattern must leave the only event to the particular one",
    patterns: [io(), io({ value: 1 }), io({ port: 0x80 })],
    met: true,
  },
  { kind: "anyOrder", when: "`times` counts all of them", patterns: [io({}, 3)], met: true },
  { kind: "anyOrder", when: "`times` counts too many", patterns: [io({}, 2)], met: false },
  {
    kind: "anyOrder",
    when: "`times` is a range",
    patterns: [io({}, atMost(3)), pattern("hlt", {}, atLeast(1))],
    met: true,
  },
  {
    kind: "never",
    when: "none is there",
    patterns: [pattern("rdtsc"), io({ port: 0x81 })],
    met: true,
  },
  {
    kind: "never",
    when: "one is there",
    patterns: [pattern("rdtsc"), io({ port: 0x80 })],
    met: false,
  },
];

for (const { kind, when, patterns, met, at, events = EVENTS } of ROWS) {
  Deno.test(`judgeSequence() ${met ? "holds" : "does not hold"} for ${kind} when ${when}`, () => {
    const status = judgeSequence(kind, patterns, events, new Map());
    assertEquals(status.met, met);
    assertEquals(status.patterns.length, patterns.length);
    if (at) assertEquals(status.patterns.map((p) => p.event), [...at]);
  });
}

Deno.test("judgeSequence() binds names for what comes after, when the match holds", () => {
  const bindings: Bindings = new Map();
  judgeSequence("inOrder", [io({ port: "$p", value: 2 })], EVENTS, bindings);
  assertEquals(bindings.get("p"), 0x3f8n);
  assert(!judgeSequence("anyOrder", [io({ port: "$p", value: 3 })], EVENTS, bindings).met);
});

Deno.test("judgeSequence() binds nothing when the match does not hold", () => {
  const bindings: Bindings = new Map();
  judgeSequence("inOrder", [io({ port: "$p" }), pattern("rdtsc")], EVENTS, bindings);
  assertEquals(bindings.size, 0);
});

Deno.test("judgeSequence() names the nearest candidate after the last match when a pattern is not met", () => {
  const status = judgeSequence(
    "inOrder",
    [io({ value: 1 }), io({ port: 0x80, value: 9 }), pattern("hlt")],
    EVENTS,
    new Map(),
  );
  const [first, second, third] = status.patterns;
  // The last would hold without the one before it.
  assertEquals([first?.met, second?.met, third?.met], [true, false, true]);
  assertEquals(second?.event, 3);
  assertEquals(third?.event, 4);
});

Deno.test("judgeSequence() tells the first event that nobody asked for when `exactly` has more", () => {
  const status = judgeSequence("exactly", [io(), io()], EVENTS, new Map());
  assertEquals(status.surplus, 2);
  assert(status.patterns.every((p) => p.met));
});

Deno.test("judgeSequence() matches kebab-case fields and any argument of a hypercall", () => {
  const fault: Exit = {
    ...hlt(),
    kind: "exception",
    detail: { vector: 14, errorCode: 2, address: 0x1000n },
  };
  const call = hypercall({ name: "sched_op", number: 29n, arguments: [2n, 0x5000n] });
  const events = [fault, call];
  assert(
    judgeSequence(
      "exactly",
      [
        pattern("exception", { "error-code": 2, "address": 0x1000 }),
        pattern("hypercall", { name: "sched_op", arguments: 0x5000, via: "hypercall" }),
      ],
      events,
      new Map(),
    ).met,
  );
});

/** A hostile guest's trace: nothing but the same exit. */
const MANY: readonly Exit[] = Array.from({ length: 200_000 }, (_, n) => out(0x80, n & 1));

const HOSTILE: readonly (readonly [string, SequenceKind, readonly EventPattern[]])[] = [
  [
    "runs of any length",
    "exactly",
    Array.from({ length: 60 }, () => io({}, atLeast(0))).concat(pattern("hlt")),
  ],
  ["names", "inOrder", [
    io({ port: "$a" }),
    io({ value: "$b" }),
    io({ value: "$c" }),
    io({ port: 1 }),
  ]],
  ["a thousand patterns that fail late", "inOrder", [
    ...Array.from({ length: 999 }, () => io()),
    pattern("hlt"),
  ]],
  ["a thousand patterns for the same events", "anyOrder", [
    ...Array.from({ length: 999 }, () => io()),
    io({ port: 3 }),
  ]],
  [
    "a thousand patterns that never match",
    "never",
    Array.from({ length: 1000 }, () => io({ port: 3 })),
  ],
];

for (const [what, kind, patterns] of HOSTILE) {
  Deno.test(`judgeSequence() ends in bounded time when ${kind} has ${what}`, () => {
    const start = performance.now();
    const status = judgeSequence(kind, patterns, MANY, new Map(), new Budget(1_000_000));
    assert(status.undecided || status.met === (kind === "never"));
    assert(performance.now() - start < 5000);
  });
}

Deno.test("judgeSequence() decides a plain in-order expectation over 200,000 events within its budget", () => {
  const status = judgeSequence("inOrder", [io({ value: 1 }), pattern("hlt")], MANY, new Map());
  assertEquals([status.met, status.undecided], [false, undefined]);
});

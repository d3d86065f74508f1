import { assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Comparison } from "../scenario/case.ts";
import { judgeComparison } from "./comparisons.ts";
import { figuresOf, metricOf } from "./metrics.ts";
import { cpuid, hlt, lineSpan, makeTrace, out } from "./testing.ts";

const span = lineSpan(8);
const exits = (n: number) =>
  figuresOf(
    makeTrace({ exits: Array.from({ length: n }, () => out(1, 1)), cycles: { vmm: n * 10 } }),
  );
const FIGURES = new Map<Backend, ReturnType<typeof exits>>([
  ["native", exits(0)],
  ["para", exits(2)],
  ["hybrid", exits(4)],
  ["full-hw", exits(10)],
]);

const order = (metric: string, ...names: Backend[]): Comparison => ({
  metric,
  span,
  is: "order",
  order: names,
});
const ratio = (
  of: Backend,
  times: Backend,
  bounds: { atMost?: number; atLeast?: number },
): Comparison => ({
  metric: "vmm-cycles",
  span,
  is: "ratio",
  of,
  times,
  ...bounds,
});

/** One `in` each: 3209 cycles bare, 214 by callout, 15826 by VM exit, in the paper's profile. */
Deno.test("judgeComparison() prices the same counts by the profile that the comparison names", () => {
  const counted = (ways: Record<string, number>, native: Record<string, number>) => {
    const trace = makeTrace({ instructions: 10 });
    return figuresOf({ ...trace, counts: { ...trace.counts, ways, native } });
  };
  const figures = new Map<Backend, ReturnType<typeof exits>>([
    ["native", counted({}, { "port-io": 1 })],
    ["full-bt", counted({ "callout/io": 1 }, {})],
    ["full-hw", counted({ "vm-exit/io": 1 }, {})],
  ]);
  const paper = {
    ...order("cycles", "full-bt", "native", "full-hw"),
    profile: "adams-agesen-2006",
  };
  const judged = judgeComparison("g", paper, figures);
  assertEquals([judged.verdict, judged.expected, judged.figures], [
    "passed",
    "full-bt < native < full-hw, priced by adams-agesen-2006",
    { "full-bt": 224, "native": 3219, "full-hw": 15836 },
  ]);
  const misspelt = judgeComparison("g", { ...paper, profile: "adams-agesen-206" }, figures);
  assertEquals([misspelt.verdict, misspelt.reason], [
    "error",
    'No cost profile "adams-agesen-206" ships. Did you mean "adams-agesen-2006"?',
  ]);
});

const ROWS: readonly (readonly [Comparison, string, string | undefined])[] = [
  [order("exits", "native", "para", "hybrid", "full-hw"), "passed", undefined],
  [
    order("exits", "para", "full-hw", "hybrid"),
    "failed",
    "full-hw has 10, not less than hybrid's 4",
  ],
  [order("exits", "para", "para"), "failed", "para has 2, not less than para's 2"],
  [order("exits/io", "para", "hybrid"), "passed", undefined],
  [order("exits", "para", "full-bt"), "skipped", "full-bt did not run"],
  [order("exist", "para", "hybrid"), "error", 'There is no metric "exist"'],
  [ratio("hybrid", "full-hw", { atMost: 0.5 }), "passed", undefined],
  [ratio("hybrid", "full-hw", { atMost: 0.4 }), "passed", undefined],
  [
    ratio("hybrid", "full-hw", { atMost: 0.3 }),
    "failed",
    "hybrid has 40, full-hw 100, 0.4 times as many",
  ],
  [
    ratio("hybrid", "full-hw", { atLeast: 0.5 }),
    "failed",
    "hybrid has 40, full-hw 100, 0.4 times as many",
  ],
  [ratio("para", "native", { atMost: 5 }), "failed", "para has 20, native 0"],
];

for (const [comparison, verdict, reason] of ROWS) {
  const what = comparison.is === "order" ? comparison.order.join(" < ") : comparison.of;
  Deno.test(`judgeComparison() is ${verdict} when ${comparison.metric} ${what} (${reason ?? "holds"})`, () => {
    const result = judgeComparison("test", comparison, FIGURES);
    assertEquals([result.verdict, result.reason], [verdict, reason]);
  });
}

Deno.test("judgeComparison() reports the figures it weighed", () => {
  const result = judgeComparison("test", ratio("hybrid", "full-hw", { atMost: 0.5 }), FIGURES);
  assertEquals(result.figures, { hybrid: 40, "full-hw": 100 });
  assertEquals(result.expected, "hybrid at most 0.5 times full-hw");
});

const METRICS: readonly (readonly [string, number | undefined])[] = [
  ["exits", 3],
  ["exits/io", 1],
  ["exits/rdtsc", 0],
  ["instructions", 77],
  ["cycles", 150],
  ["guest-cycles", 100],
  ["vmm-cycles", 50],
  ["vmm-cycles/io", 30],
  ["accesses", 0],
  ["injections/nmi", 0],
  ["inlined", 0],
  ["instructions/io", undefined],
  ["seconds", undefined],
  ["exits/__proto__", 0],
];

for (const [metric, value] of METRICS) {
  Deno.test(`metricOf() is ${value} for ${metric}`, () => {
    const trace = makeTrace({
      exits: [out(1, 1), cpuid(0), hlt()],
      instructions: 77,
      cycles: { vmm: 50, kinds: { io: 30 } },
    });
    assertEquals(metricOf(figuresOf(trace), metric), value);
  });
}

Deno.test("judgeComparison() skips what the engine does not show, and says what", () => {
  const partly = (unobserved: "instructions"[], exitKinds?: "io"[]) =>
    figuresOf(makeTrace({ exits: [out(1, 1)], unobserved, ...(exitKinds ? { exitKinds } : {}) }));
  const kvm = new Map<Backend, ReturnType<typeof exits>>([
    ["para", partly(["instructions"], ["io"])],
    ["full-hw", partly(["instructions"], ["io"])],
  ]);
  const rows: readonly [metric: string, verdict: string, reason?: string][] = [
    ["exits", "skipped", "para@kvm does not show all exits"],
    ["exits/cpuid", "skipped", "para@kvm does not show exits by cpuid"],
    ["exits/io", "failed", "para has 1, not less than full-hw's 1"],
    ["vmm-cycles", "skipped", "para@kvm does not show all exits"],
    ["cycles", "skipped", "para@kvm does not show all exits"],
    ["instructions", "skipped", "para@kvm does not show instructions"],
    ["accesses", "failed", "para has 0, not less than full-hw's 0"],
  ];
  for (const [metric, verdict, reason] of rows) {
    const judged = judgeComparison("g", order(metric, "para", "full-hw"), kvm, "kvm");
    assertEquals([judged.engine, judged.verdict, judged.reason], ["kvm", verdict, reason], metric);
  }
});

import { assertEquals, assertStringIncludes } from "@std/assert";
import { brokenScenario, judgeGroup, type RunOutcome } from "./judge.ts";
import { lineSpan, makeCase, makeGroup, makeTrace, match, on, out, pattern } from "./testing.ts";

const span = lineSpan(3);
const NATIVE = makeCase("native");
const PARA = makeCase("para", { exits: { counts: { io: on(6, match(1)) } } });
const ran = (made = {}): RunOutcome => ({ trace: makeTrace(made) });
const outcomes = (native: RunOutcome, para: RunOutcome) =>
  new Map([[NATIVE.id, native], [PARA.id, para]]);

const ROWS: readonly (readonly [string, RunOutcome, string, string | undefined])[] = [
  ["it does what is expected", ran({ exits: [out(1, 1)] }), "passed", undefined],
  ["an expectation is broken", ran(), "failed", "exits.counts.io: expected io: 1, got 0"],
  [
    "it can't be seen",
    ran({ unobserved: ["exits"] }),
    "unobserved",
    "exits.counts.io can't be observed",
  ],
  [
    "it disagrees, whatever else",
    ran({ console: "x" }),
    "diverged",
    'console differs from native: byte 0: "x" instead of the end (0 bytes)',
  ],
  ["it was skipped", { skipped: "no such thing" }, "skipped", "no such thing"],
  ["the harness failed", { error: "out of memory" }, "error", "out of memory"],
  [
    "its program is wrong",
    { error: [{ severity: "error", message: "Unknown instruction", span }] },
    "error",
    "scenarios/test.yaml:3:1: error: Unknown instruction",
  ],
];

for (const [when, outcome, verdict, reason] of ROWS) {
  Deno.test(`judgeGroup() gives ${verdict} when ${when}`, () => {
    const result = judgeGroup(makeGroup([NATIVE, PARA]), outcomes(ran(), outcome));
    assertEquals(result.cases.map((c) => c.id), [NATIVE.id, PARA.id]);
    assertEquals(result.cases[0]?.verdict, "passed");
    assertEquals([result.cases[1]?.verdict, result.cases[1]?.reason], [verdict, reason]);
  });
}

Deno.test("judgeGroup() tells whose fault an error is", () => {
  const fault = (outcome: RunOutcome) =>
    judgeGroup(makeGroup([NATIVE]), new Map([[NATIVE.id, outcome]])).cases[0]?.fault?.by;
  assertEquals(fault({ error: "x" }), "harness");
  assertEquals(fault({ error: [] }), "scenario");
});

Deno.test("judgeGroup() fails the group when a comparison fails though all cases pass", () => {
  const group = makeGroup([NATIVE, makeCase("para")], [
    { metric: "exits", span, is: "order", order: ["para", "native"] },
  ]);
  const result = judgeGroup(group, outcomes(ran(), ran({ exits: [out(1, 1)] })));
  assertEquals(result.cases.map((c) => c.verdict), ["passed", "passed"]);
  assertEquals([result.verdict, result.comparisons[0]?.verdict], ["failed", "failed"]);
});

Deno.test("judgeGroup() results survive the way from a worker", () => {
  const group = makeGroup([NATIVE, PARA]);
  const result = judgeGroup(
    group,
    outcomes(
      ran(),
      ran({ exits: [out(1, 1), out(2, 2)], end: { kind: "crash", reason: "r", rip: 9n } }),
    ),
  );
  assertEquals(structuredClone(result), result);
});

Deno.test("brokenScenario() is an error of the scenario, with its diagnostics", () => {
  const result = brokenScenario("a/b", "a/b.yaml", [{ severity: "error", message: "Wrong", span }]);
  assertEquals([result.verdict, result.fault?.by], ["error", "scenario"]);
  assertStringIncludes(result.fault?.text ?? "", "scenarios/test.yaml:3:1: error: Wrong");
});

Deno.test("judgeGroup() never mixes names bound in different cases", () => {
  const expect = { exits: { inOrder: on(4, [pattern("io", { port: "$p" })]) } };
  const group = makeGroup([makeCase("native", expect), makeCase("para", expect)]);
  const result = judgeGroup(
    group,
    outcomes(ran({ exits: [out(1, 1)] }), ran({ exits: [out(2, 1)] })),
  );
  assertEquals(result.verdict, "passed");
});

Deno.test("judgeGroup() keeps what is odd about the program, each finding once", () => {
  const warnings = [{ severity: "warning", message: "300 does not fit a byte", span }] as const;
  const odd: RunOutcome = { trace: makeTrace(), warnings };
  const result = judgeGroup(makeGroup([NATIVE, makeCase("para")]), outcomes(odd, odd));
  assertEquals(result.verdict, "passed");
  assertEquals(result.warnings?.length, 1);
  assertStringIncludes(result.warnings?.[0] ?? "", "test.yaml:3:1: warning: 300 does not fit");
});

import { assertEquals } from "@std/assert";
import { judgeGroup, type RunOutcome } from "../judge.ts";
import type { CaseResult } from "../result.ts";
import { type Made, makeCase, makeGroup, makeTrace, match, on, out } from "../testing.ts";
import type { Deviation, Ledger } from "./deviation.ts";

const ENTRY: Deviation = {
  subjects: ["full-hw@kvm"],
  cases: ["test"],
  about: ["console"],
  reason: "It prints otherwise.",
  manual: "SDM vol. 3, 28.2",
  link: "https://example.org/1",
  until: "2027-06-30",
  at: "fixtures/known/kvm.yaml:3:5",
};
const TODAY = "2026-11-22";

/** What becomes of full-hw@kvm beside two subjects that do as they should. */
function judged(
  made: Made,
  entries: readonly Partial<Deviation>[],
  { version, host, today = TODAY, alone = false }: {
    version?: string;
    host?: string;
    today?: string;
    alone?: boolean;
  } = {},
): CaseResult | undefined {
  const expect = {
    registers: { rax: on(3, match(1)) },
    exits: { counts: { io: on(4, match(1)) } },
  };
  const good: Made = { console: "a", registers: { rax: 1n }, exits: [out(1, 1)] };
  const own = makeCase("full-hw", expect, "kvm");
  const others = [makeCase("native", expect), makeCase("full-hw", expect)];
  const group = makeGroup(alone ? [own] : [...others, own]);
  const outcomes = new Map<string, RunOutcome>([
    ...others.map((c): [string, RunOutcome] => [c.id, { trace: makeTrace(good) }]),
    [own.id, { trace: makeTrace({ ...good, ...made }), version, host }],
  ]);
  const ledger: Ledger = { deviations: entries.map((e) => ({ ...ENTRY, ...e })), today };
  const { cases } = judgeGroup(group, outcomes, ledger);
  if (!alone) assertEquals(cases.slice(0, 2).map((c) => c.verdict), ["passed", "passed"]);
  return cases.at(-1);
}

const b: Made = { console: "b" };

interface Row {
  readonly when: string;
  readonly made: Made;
  readonly entries: readonly Partial<Deviation>[];
  readonly on?: Parameters<typeof judged>[2];
  readonly verdict: string;
  readonly states: readonly string[];
}

const ROWS: readonly Row[] = [
  { when: "nothing is known of it", made: b, entries: [], verdict: "diverged", states: [] },
  {
    when: "it is known",
    made: b,
    entries: [{}],
    verdict: "known-deviation",
    states: ["excused"],
  },
  {
    when: "it is known of another subject",
    made: b,
    entries: [{ subjects: ["*@qemu"] }],
    verdict: "diverged",
    states: [],
  },
  {
    when: "it is known of another case",
    made: b,
    entries: [{ cases: ["other", "test[*"] }],
    verdict: "diverged",
    states: [],
  },
  {
    when: "it is known by the case's own id",
    made: b,
    entries: [{ cases: ["test@full-hw+kvm"] }],
    verdict: "known-deviation",
    states: ["excused"],
  },
  {
    when: "it is known of other versions",
    made: b,
    entries: [{ version: "<6" }],
    on: { version: "6.1.0-18-amd64" },
    verdict: "diverged",
    states: [],
  },
  {
    when: "it is known of this version, on this host",
    made: b,
    entries: [{ version: "<7", hosts: ["pvm"] }],
    on: { version: "6.1.0-18-amd64", host: "pvm" },
    verdict: "known-deviation",
    states: ["excused"],
  },
  {
    when: "it is known on another host",
    made: b,
    entries: [{ hosts: ["svm"] }],
    on: { host: "pvm" },
    verdict: "diverged",
    states: [],
  },
  {
    when: "it is known of hosts, and this one says nothing",
    made: b,
    entries: [{ hosts: ["*"] }],
    verdict: "diverged",
    states: [],
  },
  {
    when: "something else deviates too",
    made: { ...b, registers: { rax: 2n } },
    entries: [{}],
    verdict: "failed",
    states: ["excused"],
  },
  {
    when: "two entries know it all",
    made: { ...b, registers: { rax: 2n } },
    entries: [{}, { about: ["registers.*"] }],
    verdict: "known-deviation",
    states: ["excused", "excused"],
  },
  {
    when: "one pattern knows it all",
    made: { ...b, registers: { rax: 2n }, exits: [] },
    entries: [{ about: ["*"] }],
    verdict: "known-deviation",
    states: ["excused"],
  },
  {
    when: "the deviation is gone",
    made: {},
    entries: [{}],
    verdict: "failed",
    states: ["gone"],
  },
  {
    when: "one of two is gone",
    made: b,
    entries: [{}, { about: ["registers.rax"] }],
    verdict: "failed",
    states: ["excused", "gone"],
  },
  {
    when: "it may be gone, but there is nobody to compare with",
    made: {},
    entries: [{}],
    on: { alone: true },
    verdict: "passed",
    states: [],
  },
  {
    when: "an expectation tells that it is gone, with nobody to compare with",
    made: {},
    entries: [{ about: ["exits.counts.io"] }],
    on: { alone: true },
    verdict: "failed",
    states: ["gone"],
  },
  {
    when: "it may be gone, but can't be seen",
    made: { unobserved: ["exits"] },
    entries: [{ about: ["exits.counts.io"] }],
    verdict: "unobserved",
    states: [],
  },
  {
    when: "its last day is today",
    made: b,
    entries: [{}],
    on: { today: ENTRY.until },
    verdict: "known-deviation",
    states: ["excused"],
  },
  {
    when: "its time is over",
    made: b,
    entries: [{}],
    on: { today: "2027-07-01" },
    verdict: "diverged",
    states: ["expired"],
  },
  {
    when: "its time is over, and it is gone",
    made: {},
    entries: [{}],
    on: { today: "2027-07-01" },
    verdict: "failed",
    states: ["gone"],
  },
];

for (const { when, made, entries, on, verdict, states } of ROWS) {
  Deno.test(`judgeGroup() finds a deviation ${verdict} when ${when}`, () => {
    const result = judged(made, entries, on);
    assertEquals(result?.verdict, verdict, result?.reason);
    assertEquals((result?.known ?? []).map((k) => k.state), states);
  });
}

Deno.test("judgeGroup() says why a deviation is excused, that one is gone, and that one is over", () => {
  assertEquals(
    judged(b, [{}])?.reason,
    "known deviation, fixtures/known/kvm.yaml:3:5: It prints otherwise.",
  );
  assertEquals(
    judged({}, [{}])?.reason,
    "the deviation is gone: remove fixtures/known/kvm.yaml:3:5",
  );
  assertEquals(
    judged(b, [{}], { today: "2028-01-01" })?.reason,
    'console differs from native@embedded, full-hw@embedded: byte 0: "b" instead of "a"; ' +
      "it was excused until 2027-06-30, fixtures/known/kvm.yaml:3:5",
  );
  assertEquals(
    judged({ ...b, registers: { rax: 2n } }, [{}])?.reason,
    "registers.rax: expected rax = 1, got 2",
  );
});

Deno.test("judgeGroup() does not blame the one that a known deviation differs from", () => {
  const cases = [makeCase("full-hw", {}, "kvm"), makeCase("hybrid", {}, "kvm")];
  const outcomes = new Map<string, RunOutcome>([
    [cases[0]?.id ?? "", { trace: makeTrace(b) }],
    [cases[1]?.id ?? "", { trace: makeTrace({ console: "a" }) }],
  ]);
  const verdicts = (deviations: readonly Deviation[]) =>
    judgeGroup(makeGroup(cases), outcomes, { deviations, today: TODAY }).cases.map((c) =>
      c.verdict
    );
  assertEquals(verdicts([]), ["diverged", "diverged"]);
  assertEquals(verdicts([ENTRY]), ["known-deviation", "passed"]);
});

Deno.test("judgeGroup() believes the one that keeps to what is expected, however many are known to deviate", () => {
  const expect = { registers: { rax: on(3, match(1)) } };
  const cases = [
    makeCase("full-hw", expect, "kvm"),
    makeCase("hybrid", expect, "kvm"),
    makeCase("para", expect, "kvm"),
  ];
  const outcomes = new Map<string, RunOutcome>(cases.map(({ id }, n) => [
    id,
    { trace: makeTrace({ registers: { rax: n < 2 ? 2n : 1n } }) },
  ]));
  const subjects = ["full-hw@kvm", "hybrid@kvm"];
  const deviations = [{ ...ENTRY, subjects, about: ["registers.rax"] }];
  const group = makeGroup(cases, [], { registers: ["rax"], memory: {} });
  const result = judgeGroup(group, outcomes, { deviations, today: TODAY });
  assertEquals(result.cases.map((c) => c.verdict), [
    "known-deviation",
    "known-deviation",
    "passed",
  ]);
});

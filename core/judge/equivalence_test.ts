import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Backend, Engine } from "../base/backend.ts";
import type { CaseGroup, Expectations } from "../scenario/case.ts";
import { findDifferences } from "./equivalence.ts";
import { Places } from "./place.ts";
import { type Made, makeCase, makeTrace, match, on, out } from "./testing.ts";

type Runs = Partial<Record<Backend, readonly [Made, Partial<Expectations>?]>>;
const NOTHING_OBSERVED: CaseGroup["guest"]["observe"] = { registers: [], memory: {} };

function differences(runs: Runs, observe = NOTHING_OBSERVED) {
  const made = Object.entries(runs).flatMap(([backend, run]) =>
    run
      ? [{
        subject: makeCase(backend as Backend, run[1]),
        trace: makeTrace(run[0]),
        places: new Places(),
      }]
      : []
  );
  return findDifferences(made, observe);
}

/** Aspect in which each back end differs. */
function odd(runs: Runs, observe = NOTHING_OBSERVED): Record<string, string | undefined> {
  const entries = [...differences(runs, observe)];
  return Object.fromEntries(
    entries.map(([id, [first]]) => [id.slice("test@".length, -"+embedded".length), first?.aspect]),
  );
}

const a = { console: "a" };
const b = { console: "b" };
const observeRbx = { registers: ["rbx"], memory: {} };
const rbx = (value: bigint): Made => ({ registers: { rbx: value } });
const unported: Made = { end: { kind: "unported", instruction: "cli", rip: 1n } };
const expectUnported = { end: on(9, { kind: "unported", instruction: match("cli") } as const) };

const ROWS:
  readonly (readonly [string, Runs, CaseGroup["guest"]["observe"], Record<string, string>])[] = [
    ["all agree", { native: [a], para: [a], hybrid: [a] }, NOTHING_OBSERVED, {}],
    ["one is odd", { native: [a], para: [b], hybrid: [a] }, NOTHING_OBSERVED, { para: "console" }],
    ["native itself is odd", { native: [a], para: [b], hybrid: [b] }, NOTHING_OBSERVED, {
      native: "console",
    }],
    ["two differ and one is native", { native: [a], para: [b] }, NOTHING_OBSERVED, {
      para: "console",
    }],
    [
      "two differ and none is native",
      { "full-hw": [a], para: [b] },
      NOTHING_OBSERVED,
      { "full-hw": "console", para: "console" },
    ],
    ["only one ran", { native: [a] }, NOTHING_OBSERVED, {}],
    [
      "ends differ",
      { native: [{}], para: [{ end: { kind: "halt" } }], hybrid: [{}] },
      NOTHING_OBSERVED,
      { para: "end" },
    ],
    [
      "crashes differ in place only",
      {
        native: [{ end: { kind: "crash", reason: "x", rip: 1n } }],
        para: [{ end: { kind: "crash", reason: "y", rip: 2n } }],
      },
      NOTHING_OBSERVED,
      {},
    ],
    [
      "an observed register differs",
      { native: [rbx(1n)], para: [rbx(2n)], hybrid: [rbx(1n)] },
      observeRbx,
      { para: "registers.rbx" },
    ],
    ["another register differs", { native: [rbx(1n)], para: [rbx(2n)] }, NOTHING_OBSERVED, {}],
    [
      "a register is expected to differ",
      {
        native: [rbx(1n)],
        para: [rbx(2n), { registers: { rbx: on(5, match(2)) } }],
        hybrid: [rbx(1n)],
      },
      observeRbx,
      {},
    ],
    [
      "observed memory differs",
      {
        native: [{ memory: { m: Uint8Array.of(1, 2) } }],
        para: [{ memory: { m: Uint8Array.of(1, 3) } }],
        hybrid: [{ memory: { m: Uint8Array.of(1, 2) } }],
      },
      { registers: [], memory: { m: 2 } },
      { para: "memory.m" },
    ],
    [
      "a disk differs",
      { native: [{ disks: [Uint8Array.of(1)] }], para: [{ disks: [Uint8Array.of(2)] }] },
      NOTHING_OBSERVED,
      { para: "disks.0" },
    ],
    [
      "a guest that is not ported ends early by design",
      {
        native: [{ ...a, ...rbx(1n) }],
        hybrid: [{ ...a, ...rbx(1n) }],
        para: [{ ...unported, ...rbx(0n) }, expectUnported],
      },
      observeRbx,
      {},
    ],
    [
      "a guest that is not ported ends early unexpectedly",
      { native: [a], hybrid: [a], para: [unported] },
      NOTHING_OBSERVED,
      { para: "end" },
    ],
    [
      "the console of one can't be seen",
      { native: [a], para: [{ console: "", unobserved: ["console"] }], hybrid: [a] },
      NOTHING_OBSERVED,
      {},
    ],
  ];

for (const [when, runs, observe, expected] of ROWS) {
  Deno.test(`findDifferences() names ${JSON.stringify(expected)} when ${when}`, () => {
    assertEquals(odd(runs, observe), expected);
  });
}

Deno.test("findDifferences() tells byte, both values, who agrees and the last exit before it", () => {
  const found = differences({
    native: [{ console: "hello" }],
    hybrid: [{ console: "hello" }],
    para: [{
      console: "help",
      exits: [out(1, 1)],
      events: [{ at: 5, type: "console", bytes: new TextEncoder().encode("help") }],
    }],
  });
  const [difference] = found.get("test@para+embedded") ?? [];
  assertEquals(difference?.text, 'byte 3: "p" instead of "lo"');
  assertEquals(difference?.agree, ["native", "hybrid"]);
  assertStringIncludes(difference?.event?.text ?? "", "io port=1 out");
});

Deno.test("findDifferences() names subjects in full where they are on several engines", () => {
  const run = (backend: Backend, engine: Engine, made: Made) => ({
    subject: makeCase(backend, {}, engine),
    trace: makeTrace(made),
    places: new Places(),
  });
  const found = findDifferences([
    run("native", "embedded", a),
    run("full-hw", "embedded", a),
    run("full-hw", "kvm", b),
  ], NOTHING_OBSERVED);
  assertEquals([...found].map(([id, [first]]) => [id, first?.agree]), [
    ["test@full-hw+kvm", ["native@embedded", "full-hw@embedded"]],
  ]);
});

Deno.test("findDifferences() leaves a run out that could not be stopped where the others were", () => {
  const stopped = (limit: "instructions" | "time"): Made => ({ end: { kind: "limit", limit } });
  const uncounted: Made = { ...stopped("time"), console: "more", unobserved: ["instructions"] };
  const others = { native: [stopped("instructions")], para: [stopped("instructions")] } as const;
  assertEquals(odd({ ...others, "full-hw": [uncounted] }), {});
  assertEquals(odd({ ...others, "full-hw": [{ ...uncounted, unobserved: [] }] }), {
    "full-hw": "end",
  });
  assertEquals(odd({ native: [{}], para: [{}], "full-hw": [uncounted] }), { "full-hw": "end" });
});

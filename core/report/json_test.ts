import { assertEquals } from "@std/assert";
import { JsonReporter, toJson } from "./json.ts";
import { makeFigures, makeGroupResult, makeResult, report } from "./testing.ts";

function printed(groups: Parameters<typeof report>[1]): unknown {
  const parts: string[] = [];
  report(new JsonReporter((part) => parts.push(part)), groups);
  assertEquals(parts.length, 1);
  return JSON.parse(parts[0] ?? "");
}

Deno.test("JsonReporter prints the stable format, once, when the run is over", () => {
  const group = makeGroupResult("a/b", [
    makeResult("a/b", "native", { figures: makeFigures(2, 30) }),
    makeResult("a/b", "para", { verdict: "skipped", reason: "no" }),
  ], {
    comparisons: [{
      engine: "embedded",
      group: "a/b",
      metric: "exits",
      expected: "native < para",
      source: { at: "a/b.yaml:9:5", text: "" },
      verdict: "skipped",
      reason: "para did not run",
      figures: { native: 2 },
    }],
  });
  assertEquals(printed([group]), {
    version: 1,
    cases: [
      {
        id: "a/b@native+embedded",
        scenario: "a/b",
        backend: "native",
        engine: "embedded",
        verdict: "passed",
        reason: null,
        known: [],
        version: null,
        instructions: 100,
        exits: { total: 2, kinds: { io: 2 } },
        cycles: { guest: 1000, vmm: 30 },
        wallNs: 5,
        console: "x",
        end: { kind: "shutdown", code: 0 },
        unobserved: [],
        exitKinds: null,
        hidden: null,
        coarse: null,
      },
      {
        id: "a/b@para+embedded",
        scenario: "a/b",
        backend: "para",
        engine: "embedded",
        verdict: "skipped",
        reason: "no",
        known: [],
        version: null,
        instructions: null,
        exits: null,
        cycles: null,
        wallNs: null,
        console: null,
        end: null,
        unobserved: null,
        exitKinds: null,
        hidden: null,
        coarse: null,
      },
    ],
    comparisons: [{
      engine: "embedded",
      group: "a/b",
      metric: "exits",
      expected: "native < para",
      at: "a/b.yaml:9:5",
      verdict: "skipped",
      reason: "para did not run",
      figures: { native: 2 },
    }],
    divergences: [],
    summary: { passed: 1, skipped: 1 },
  });
});

Deno.test("JsonReporter makes a case of no back end of a scenario that can't be read", () => {
  const fault = { by: "scenario", text: "a.yaml:1:1: error: Wrong" } as const;
  const document = printed([makeGroupResult("a", [], { verdict: "error", fault })]);
  const { cases } = document as { cases: readonly Record<string, unknown>[] };
  assertEquals(cases.length, 1);
  assertEquals(cases[0]?.["verdict"], "error");
  assertEquals(cases[0]?.["backend"], null);
  assertEquals(cases[0]?.["reason"], fault.text);
});

Deno.test("toJson() writes 64-bit values as hexadecimal strings, unsigned", () => {
  assertEquals(JSON.parse(toJson({ a: 0x1_0000_0000n, b: [-1n] })), {
    a: "0x100000000",
    b: ["0xffffffffffffffff"],
  });
});

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { setColorEnabled } from "@std/fmt/colors";
import type { GroupResult } from "../judge/result.ts";
import { widthOf } from "./columns.ts";
import { ConsoleReporter } from "./console.ts";
import { makeFigures, makeGroupResult, makeResult, report } from "./testing.ts";

const AGREE = makeGroupResult("console/hello", [
  makeResult("console/hello", "native", { figures: makeFigures(0, 0) }),
  makeResult("console/hello", "full-hw", {
    figures: makeFigures(7, 45_870, { io: 45_400, hlt: 470 }),
  }),
  makeResult("console/hello", "para", { figures: makeFigures(2, 2_160, { hypercall: 2_160 }) }),
]);

const FAILED = makeGroupResult("paging/remap", [
  makeResult("paging/remap", "native", { figures: makeFigures(0, 0) }),
  makeResult("paging/remap", "para", {
    verdict: "failed",
    checks: [{
      about: "exits.in-order",
      status: "not met",
      source: { at: "scenarios/paging/remap.yaml:31:11", text: "in-order: [ ... ]" },
      lines: [
        { status: "met", expected: "hypercall mmu_update" },
        {
          status: "not met",
          expected: "hypercall update_va_mapping",
          event: {
            name: "exit 6",
            text: "vm-exit cr-access register=3 mov-to value=0x3000",
            place: "remap+0x2f",
            source: { at: "scenarios/paging/remap.yaml:14:9", text: "mov   cr3, rax" },
            disassembly: "mov cr3, rax",
          },
        },
      ],
    }],
  }),
]);

const SKIPPED = makeGroupResult("real/add", [
  makeResult("real/add", "native"),
  makeResult("real/add", "para", { verdict: "skipped", reason: "para starts guests in long mode" }),
]);

function printed(groups: readonly GroupResult[], colours = false): string {
  let text = "";
  setColorEnabled(colours);
  report(new ConsoleReporter((part) => text += part), groups);
  return text;
}

Deno.test("ConsoleReporter prints a line a group, what failed under it, what it cost and a summary", () => {
  assertEquals(
    printed([AGREE, FAILED, SKIPPED]),
    ` ✓ console/hello                    3 back ends agree
 ✗ paging/remap                     para failed
   │ expected on para: exits.in-order, scenarios/paging/remap.yaml:31:11
   │     in-order: [ ... ]
   │  1 met        hypercall mmu_update
   │  2 not met    hypercall update_va_mapping
   │               nearest: exit 6, vm-exit cr-access register=3 mov-to
   │               value=0x3000, at remap+0x2f
   │               scenarios/paging/remap.yaml:14:9:  mov   cr3, rax
 ✓ real/add                         native passed
 – real/add @para                   skipped: para starts guests in long mode

 OVERHEAD                                             native   full-hw      para
 console/hello
   exits                                                   0         7         2
   modelled cycles                                     1 000    46 870     3 160
   over native                                             –       47x      3.2x
     io                                                         45 400
     hypercall                                                             2 160
     hlt                                                           470
 paging/remap
   exits                                                   0
   modelled cycles                                     1 000
   over native                                             –

 cost profile kvm-2017 · 7 cases · 5 passed, 1 skipped, 1 failed · 0.21 s
`,
  );
});

Deno.test("ConsoleReporter uses colours only when they are enabled", () => {
  // deno-lint-ignore no-control-regex
  const escape = /\x1b/;
  assert(!escape.test(printed([AGREE, FAILED, SKIPPED])));
  assert(escape.test(printed([AGREE, FAILED, SKIPPED], true)));
  setColorEnabled(false);
});

Deno.test("ConsoleReporter sums up by folder and names failures again when there are many groups", () => {
  const many = Array.from({ length: 20 }, (_, n) => ({ ...AGREE, id: `console/hello[n=${n}]` }));
  const text = printed([FAILED, ...many]);
  assertStringIncludes(text, "OVER NATIVE");
  assertStringIncludes(text, "   console (20)");
  assertStringIncludes(text, " NOT PASSED\n ✗ paging/remap");
  assert(!text.includes("modelled cycles  "));
});

Deno.test("ConsoleReporter gives groups of one scenario a line together in a long run, but not what is odd", () => {
  const group = (n: number, warnings: string[] = []) =>
    makeGroupResult(`a/b[n=${n}]`, [makeResult("a/b", "native")], { scenario: "a/b", warnings });
  const many = Array.from({ length: 20 }, (_, n) => group(n, n === 7 ? ["Odd"] : []));
  const other = makeGroupResult("a/c", [makeResult("a/c", "native")]);
  const lines = printed([...many, FAILED, other]).split("\n").map((line) => line.trimEnd());
  assertEquals(lines.slice(0, 5), [
    " ✓ a/b (7)                          native passed",
    " ✓ a/b[n=7]                         native passed",
    "   │ Odd",
    " ✓ a/b (12)                         native passed",
    " ✗ paging/remap                     para failed",
  ]);
  assertEquals(lines.filter((line) => line.startsWith(" ✓ a/c")).length, 1);
});

Deno.test("ConsoleReporter keeps tables within 80 columns with every back end", () => {
  const all = ["native", "full-bt", "full-hw", "full-hw/shadow", "para", "hybrid"] as const;
  const group = makeGroupResult(
    "a/b",
    all.map((b) =>
      makeResult("a/b", b, { figures: makeFigures(123_456, 9_876_543_210, { io: 1 }) })
    ),
  );
  for (const line of printed([group]).split("\n")) assert(widthOf(line) <= 80, line);
});

Deno.test("ConsoleReporter tells a fault once when several cases and groups share it", () => {
  const fault = { by: "scenario", text: "x.yaml:1:1: error: Unknown thing" } as const;
  const broken = (id: string) =>
    makeGroupResult(id, [
      makeResult(id, "native", { verdict: "error", fault }),
      makeResult(id, "para", { verdict: "error", fault }),
    ]);
  const text = printed([broken("a[n=1]"), broken("a[n=2]")]);
  assertEquals(text.split("Unknown thing").length - 1, 1);
  assertStringIncludes(text, " ! a[n=1]                           the program has errors\n");
  assertStringIncludes(text, "the same as above");
});

Deno.test("ConsoleReporter explains a comparison and a divergence", () => {
  const group = makeGroupResult("a/b", [
    makeResult("a/b", "native"),
    makeResult("a/b", "para", {
      verdict: "diverged",
      differences: [{
        aspect: "console",
        text: 'byte 3: "p" instead of "lo"',
        agree: ["native", "hybrid"],
      }],
    }),
  ], {
    comparisons: [{
      engine: "embedded",
      group: "a/b",
      metric: "exits",
      expected: "para < full-hw",
      source: { at: "a/b.yaml:9:5", text: "" },
      verdict: "failed",
      reason: "para has 5, not less than full-hw's 4",
      figures: { para: 5, "full-hw": 4 },
    }],
  });
  const text = printed([group]);
  assertStringIncludes(
    text,
    "≠ a/b                              para diverged; 1 comparison failed",
  );
  assertStringIncludes(text, "diverged: console on para; native, hybrid agree\n");
  assertStringIncludes(
    text,
    "exits: para < full-hw\n   │     para has 5, not less than full-hw's 4",
  );
});

Deno.test("ConsoleReporter shows what is odd about a program once, and passes it", () => {
  const odd = (id: string) =>
    makeGroupResult(id, [makeResult(id, "native")], { warnings: ["x.yaml:1:1: warning: Odd"] });
  const text = printed([odd("a[n=1]"), odd("a[n=2]")]);
  assertEquals(text.split("warning: Odd").length - 1, 1);
  assertStringIncludes(text, " ✓ a[n=1]");
});

Deno.test("ConsoleReporter tells a divergent end that nobody stated once", () => {
  const lines = [{ status: "not met", expected: "shutdown or halt", actual: "crash" }] as const;
  const bad = makeResult("a", "para", {
    verdict: "diverged",
    checks: [{ about: "end", status: "not met", lines }],
    differences: [{ aspect: "end", text: "crash instead of halt", agree: ["native"] }],
  });
  const text = printed([makeGroupResult("a", [bad])]);
  assertStringIncludes(text, "crash instead of halt");
  assert(!text.includes("shutdown or halt"), text);
});

Deno.test("ConsoleReporter puts what became of a group below a name that leaves no room", () => {
  const id = `sensitive/umip[instruction="${"x".repeat(60)}"]`;
  const lines = printed([makeGroupResult(id, [makeResult(id, "native")])]).split("\n");
  assertEquals(lines.slice(0, 2), [` ✓ ${id}`, "     native passed"]);
});

Deno.test("ConsoleReporter counts cases, and comparisons and unreadable scenarios apart from them", () => {
  const comparison = {
    group: "a",
    engine: "embedded",
    metric: "exits",
    expected: "native < para",
    source: { at: "a.yaml:9:5", text: "" },
    verdict: "failed",
    figures: {},
  } as const;
  const fault = { by: "scenario", text: "b.yaml:1:1: error: Wrong" } as const;
  const text = printed([
    makeGroupResult("a", [makeResult("a", "native"), makeResult("a", "para")], {
      comparisons: [comparison],
    }),
    makeGroupResult("b", [], { verdict: "error", fault }),
  ]);
  assertStringIncludes(
    text,
    "2 cases · 2 passed · 1 comparison failed\n 1 scenario unreadable · 0.21 s\n",
  );
});

Deno.test("ConsoleReporter says that all back ends failed where all that ran did", () => {
  const lines = [{ status: "not met", expected: "1", actual: "2" }] as const;
  const checks = [{ about: "registers.rax", status: "not met", lines }] as const;
  const bad = (["native", "full-hw", "hybrid"] as const).map((b) =>
    makeResult("a", b, { verdict: "failed", checks })
  );
  const skipped = makeResult("a", "para", { verdict: "skipped", reason: "no" });
  const text = printed([makeGroupResult("a", [...bad, skipped])]);
  assertStringIncludes(text, "all 3 back ends failed");
  assertStringIncludes(text, "expected on all 3 back ends: registers.rax");
  assertStringIncludes(
    printed([makeGroupResult("a", [...bad, makeResult("a", "para")])]),
    "native, full-hw, hybrid failed",
  );
});

Deno.test("ConsoleReporter names subjects in full where there are several engines, and what they could not show", () => {
  const check = { about: "exits.counts.total", status: "unobserved", lines: [] } as const;
  const group = makeGroupResult("a/b", [
    makeResult("a/b", "native"),
    makeResult("a/b", "full-hw"),
    makeResult("a/b", "full-hw", { engine: "kvm", verdict: "unobserved", checks: [check] }),
    makeResult("a/b", "para", { engine: "kvm", verdict: "skipped", reason: "no Xen here" }),
  ]);
  const lines = printed([group]).split("\n");
  assertEquals(lines.slice(0, 3), [
    " ? a/b                              3 subjects agree, 1 as far as observed",
    "   │ unobserved on full-hw@kvm: exits.counts.total",
    " – a/b @para+kvm                    skipped: no Xen here",
  ]);
});

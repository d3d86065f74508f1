import { assert, assertEquals, assertMatch } from "@std/assert";
import { exitCost } from "../vmm/cost_model.ts";
import { parseCostProfile } from "../vmm/parse_profile.ts";
import { COST_LOOPS, type CostLoop } from "../bench/cost_loops.ts";
import { costProfileText, costTable } from "./cost_report.ts";
import type { CostReport, CostResult } from "../bench/costs.ts";

const HOST = {
  cpu: 'A "CPU": #1',
  release: "6.1\n# x",
  technique: "svm",
  amd: true,
  cyclesPerNs: 2,
} as const;
const loopNamed = (name: string): CostLoop => {
  const loop = COST_LOOPS.find((loop) => loop.name === name);
  assert(loop, name);
  return loop;
};
const measured = (name: string, median: number): CostResult => ({
  loop: loopNamed(name),
  ns: { median, low: median - 10, high: median + 10, count: 15 },
});
const OPTIONS = { name: "mine: #1", date: "2026-11-22" };

function profileOf(results: readonly CostResult[]) {
  const text = costProfileText({ host: HOST, results }, OPTIONS);
  const { profile, diagnostics } = parseCostProfile({ name: "mine.yaml", text });
  assertEquals(diagnostics, [], text);
  assert(profile);
  return { profile, text };
}

Deno.test("a written profile is read again: names, cycles, sources", () => {
  const { profile } = profileOf([measured("port write", 1000), measured("cpuid", 500.3)]);
  const [own] = profile.layers;
  assertEquals(profile.name, OPTIONS.name);
  assertEquals(own?.exits["vm-exit/io"]?.value, 2000);
  assertEquals(own?.exits["vm-exit"]?.value, 1001);
  assertEquals(own?.exits["vm-exit/cpuid"]?.value, 1001);
  assertMatch(
    own?.exits["vm-exit/io"]?.source ?? "",
    /^measured on A "CPU": #1, kernel 6\.1\n# x, 2026-11-22, 15 samples, 95 % interval 1980 to 2020$/,
  );
});

Deno.test("what a written profile has no figure for is inherited, and says why", () => {
  const not = "KVM can't\nrun it here";
  const { profile, text } = profileOf([{ loop: loopNamed("hlt"), not }]);
  assertEquals(exitCost(profile, "vm-exit", "hlt"), 1291);
  assert(text.includes("#   hlt: hlt: KVM can't run it here\n"), text);
});

Deno.test("the first of several loops for one key that was measured stands in the profile", () => {
  const { profile } = profileOf([
    { ...measured("cpuid", 10), not: "no exit" },
    measured("cpuid, CPL 3", 400),
  ]);
  assertEquals(profile.layers[0]?.exits["vm-exit/cpuid"]?.value, 800);
});

Deno.test("the table has every loop, and the reason where there is no figure", () => {
  const report: CostReport = {
    host: HOST,
    results: [measured("port write", 1000), { loop: loopNamed("vmcall"), not: "never returns" }],
  };
  const table = costTable(report);
  assertMatch(table, /port write +1000 +2000 {2}990 to 1010 \(15\)/);
  assertMatch(table, /vmcall +–\n {4}never returns/);
});

Deno.test("loops have names of their own, and what they are compared with exists", () => {
  const names = COST_LOOPS.map((loop) => loop.name);
  assertEquals(new Set(names).size, names.length);
  for (const { less } of COST_LOOPS) if (less !== undefined) assert(names.includes(less), less);
  for (const key of COST_LOOPS.flatMap((loop) => loop.keys).filter((key) => key !== "")) {
    const exits = `exits: { vm-exit/${key}: { value: 1, source: x } }`;
    const text = `name: n\nmachine: m\ninherits: [kvm-2017]\n${exits}\n`;
    assertEquals(parseCostProfile({ name: "n", text }).diagnostics, [], key);
  }
});

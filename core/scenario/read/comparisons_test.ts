import { assertEquals } from "@std/assert";
import { planned, problems } from "../testdata/load.ts";

const HEAD = 'why: x\nguest: { program: "hlt" }\n';

function comparisons(yaml: string): Readonly<Record<string, unknown>>[] {
  const groups = planned(`${HEAD}parameters: { length: [5, 64] }\ncompare: [ ${yaml} ]`);
  return groups.flatMap((group) => group.comparisons).map(({ span: _span, ...rest }) => rest);
}

Deno.test("back ends are compared by order or by ratio", () => {
  assertEquals(comparisons("{ metric: exits/io, order: [para, full-hw/shadow] }").slice(1), [
    { is: "order", metric: "exits/io", order: ["para", "full-hw/shadow"] },
  ]);
  const priced = "{ metric: cycles, order: [full-bt, native], profile: adams-agesen-2006 }";
  assertEquals(comparisons(priced).slice(1), [
    { is: "order", metric: "cycles", order: ["full-bt", "native"], profile: "adams-agesen-2006" },
  ]);
  const ratio = "{ metric: vmm-cycles, of: hybrid, at-least: 0.1, at-most: 2, times: full-hw }";
  assertEquals(comparisons(ratio).slice(1), [
    { is: "ratio", metric: "vmm-cycles", of: "hybrid", times: "full-hw", atLeast: 0.1, atMost: 2 },
  ]);
});

Deno.test("a comparison is left out where its condition does not hold", () => {
  assertEquals(
    comparisons('{ metric: exits, order: [para, full-hw], when: "length >= 64" }').length,
    1,
  );
  assertEquals(
    comparisons('{ metric: exits, order: [para, full-hw], when: "length < 5" }').length,
    0,
  );
});

Deno.test("a comparison that can't be gets a diagnostic", () => {
  const either =
    "A comparison has either `order`, or `of`, `times` and one of `at-most` and `at-least`" +
    " | Write { metric: exits, order: [para, full-hw] } or { metric: exits, of: para, at-most: 0.5, times: full-hw }";
  const cases: readonly [yaml: string, ...problems: string[]][] = [
    [
      "{ metric: exists, order: [para, full-hw] }",
      '3:22 Unknown metric "exists" | Did you mean "exits"?',
    ],
    ["{ order: [para, full-hw] }", '3:14 The key "metric" is missing | Add `metric: ...` here'],
    ["{ metric: exits }", "3:12 " + either],
    ["{ metric: exits, of: para, times: native }", "3:12 " + either],
    ["{ metric: exits, order: [para] }", "3:36 Expected two back ends or more, found 1"],
    [
      "{ metric: exits, order: [para, para] }",
      '3:43 Nothing is less than itself: "para" is there twice | Remove one',
    ],
    [
      "{ metric: exits, order: [para, native], of: para }",
      "3:56 `order` can't be combined with `of`, `times`, `at-most` or `at-least` | Make it a comparison of its own",
    ],
    ["{ metric: exits, of: para, times: native, at-most: -1 }", "3:63 A factor is zero or more"],
    [
      "{ metric: exits, of: para, times: native, at-most: half }",
      '3:63 Expected a number, found "half"',
    ],
    [
      '{ metric: exits, order: [para, native], when: "3" }',
      '3:58 The condition is neither true nor false | Compare, as in "length >= 64"',
    ],
    [
      '{ metric: exits, order: [para, native], when: "a > 3" }',
      '3:59 Unknown parameter "a" | Name it under `parameters`, or write {{ and }} for braces',
    ],
  ];
  for (const [yaml, ...expected] of cases) {
    assertEquals(problems(`${HEAD}compare: [ ${yaml} ]`), expected, yaml);
  }
});

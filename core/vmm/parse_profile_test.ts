import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { exitCost, exitFigure, inlinedCost, instructionCost, nativeCost } from "./cost_model.ts";
import { parseCostProfile } from "./parse_profile.ts";
import { SHIPPED_PROFILES, shippedProfile } from "./shipped_profiles.ts";

const parse = (text: string) => parseCostProfile({ name: "p.yaml", text });
const complaints = (text: string) => parse(text).diagnostics.map((d) => renderDiagnostic(d));

for (const name of SHIPPED_PROFILES) {
  Deno.test(`parseCostProfile() reads ${name} without complaint`, () => {
    const file = shippedProfile(name);
    assert(file);
    const { profile, diagnostics } = parseCostProfile(file);
    assertEquals(diagnostics, []);
    assertEquals(profile?.name, name);
  });
}

Deno.test("shippedProfile() has every file of fixtures/costs", async () => {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(new URL("../../fixtures/costs", import.meta.url))) {
    names.push(name.replace(/\.yaml$/, ""));
  }
  assertEquals([...SHIPPED_PROFILES], names.toSorted());
});

const FIGURE = "{ value: 100, source: a measurement }";
const VIAS = `vm-exit: ${FIGURE}, callout: ${FIGURE}, hypercall: ${FIGURE}, fault: ${FIGURE}`;
const minimal = (more: string, exits = VIAS) =>
  `name: mine\nmachine: mine\nexits: { ${exits} }\n${more}`;

Deno.test("parseCostProfile() falls back from kind to via, and to inherited figures last", () => {
  const { profile, diagnostics } = parse(minimal(
    "inherits: kvm-2017",
    "vm-exit: { value: 7, source: x }, vm-exit/cpuid: { value: 5, source: x }",
  ));
  assertEquals(diagnostics, []);
  assert(profile);
  assertEquals(exitCost(profile, "vm-exit", "cpuid"), 5);
  assertEquals(exitCost(profile, "vm-exit", "io"), 7);
  assertEquals(exitCost(profile, "callout", "trace"), 391);
  assertStringIncludes(exitFigure(profile, "callout", "trace")?.source ?? "", "Adams");
  assertEquals(exitCost(profile, "hypercall", "hypercall"), 1128);
});

Deno.test("parseCostProfile() takes what costs nothing as 0, and an instruction as a cycle", () => {
  const { profile } = parse(minimal(""));
  assert(profile);
  assertEquals(instructionCost(profile), 1);
  assertEquals(nativeCost(profile, "port-io"), 0);
  assertEquals(inlinedCost(profile, "popf"), 0);
});

const BROKEN: readonly [what: string, text: string, message: string][] = [
  ["a figure has no source", minimal("native: { port-io: { value: 1 } }"), `"source" must be`],
  ["a figure is a number", minimal("native: { port-io: 1 }"), "{ value, source, how }"],
  [
    "a value is negative",
    minimal("native: { port-io: { value: -1, source: x } }"),
    "p.yaml:4:29: error: The value",
  ],
  ["a value is no number", minimal("native: { port-io: { value: .nan, source: x } }"), "The value"],
  ["a native name is wrong", minimal(`native: { port-ii: ${FIGURE} }`), `Did you mean "port-io"?`],
  ["an exit is wrong", minimal("", `${VIAS}, vm-exit/cpuidd: ${FIGURE}`), "vm-exit/cpuid"],
  ["an inlined name is wrong", minimal(`inlined: { poopf: ${FIGURE} }`), `Did you mean "popf"?`],
  ["a key is unknown", minimal("inherit: kvm-2017"), `Did you mean "inherits"?`],
  ["a way of exiting has no figure", minimal("", `vm-exit: ${FIGURE}`), "exits by callout"],
  ["the parent is not there", minimal("inherits: [nobody]"), `no cost profile "nobody"`],
  ["instructions cost nothing", minimal("instruction: { value: 0, source: x }"), "costs something"],
  ["it is a list", "- 1", "is a mapping"],
  ["it is empty", "", "is a mapping"],
  ["it is no YAML", "a: [", "p.yaml:1"],
];
for (const [what, text, message] of BROKEN) {
  Deno.test(`parseCostProfile() complains when ${what}`, () => {
    assertEquals(parse(text).profile, undefined);
    assertStringIncludes(complaints(text).join("\n"), message);
  });
}

Deno.test("parseCostProfile() ends when profiles inherit from each other", () => {
  const files: Record<string, string> = {
    a: minimal("inherits: b").replace("mine", "a"),
    b: minimal("inherits: a").replace("mine", "b"),
  };
  const file = (name: string) => ({ name, text: files[name] ?? "" });
  const { profile } = parseCostProfile(file("a"), file);
  assertEquals(profile?.layers.map((layer) => layer.name), ["a", "b"]);
});

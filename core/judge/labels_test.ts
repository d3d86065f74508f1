import { assertEquals } from "@std/assert";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { buildGuest } from "../guest/build.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import { unknownLabels } from "./labels.ts";

/** The first lines and the suggestions of what is found, on native. */
function found(observe: string, expect: string): string[] {
  const text = `why: Labels
guest:
  program: |
    start:
        hlt
    .local: dd 1
    buffer: dd 2
  observe: { memory: ${observe} }
expect: { memory: ${expect} }
`;
  const { scenario, diagnostics } = parseScenario({ name: "x.yaml", text }, "x");
  assertEquals(diagnostics, []);
  const [group] = scenario ? plan(scenario, { backends: ["native"] }) : [];
  const [subject] = group?.cases ?? [];
  const { image } = group ? buildGuest(group.guest, "bare") : {};
  if (!group || !subject || !image) throw new Error("The scenario is good");
  return unknownLabels(group.guest, subject, image).map((d) => {
    const [first = ""] = renderDiagnostic(d).split("\n");
    return d.suggestion ? `${first} | ${d.suggestion}` : first;
  });
}

const ROWS: readonly (readonly [string, string, string, readonly string[]])[] = [
  ["all are there", "{ buffer: 4 }", "{ start: any, start.local: 1 }", []],
  ["one that is observed is not", "{ bufer: 4 }", "{}", [
    'x.yaml:8:24: error: The program has no label "bufer" | Did you mean "buffer"?',
  ]],
  ["one that something is expected of is not", "{}", "{ nowhere: 1 }", [
    'x.yaml:9:30: error: The program has no label "nowhere"',
  ]],
  ["one is named twice, told once", "{ bufer: 4 }", "{ bufer: 1 }", [
    'x.yaml:8:24: error: The program has no label "bufer" | Did you mean "buffer"?',
  ]],
];

for (const [when, observe, expect, lines] of ROWS) {
  Deno.test(`unknownLabels() finds ${lines.length} when ${when}`, () => {
    assertEquals(found(observe, expect), [...lines]);
  });
}

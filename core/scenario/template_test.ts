import { assertEquals } from "@std/assert";
import { Findings } from "./findings.ts";
import { expandProgram } from "./template.ts";
import { expectations, planned, problems } from "./testdata/load.ts";
import type { ScalarNode } from "./yaml/node.ts";
import type { Parameters } from "./case.ts";

function expand(text: string, parameters: Parameters): string {
  const file = { name: "test.yaml", text };
  const span = { file, start: 0, end: text.length };
  const node: ScalarNode = { kind: "scalar", value: text, style: "double", span };
  const findings = new Findings();
  const program = expandProgram(node, parameters, findings);
  assertEquals(findings.list(), []);
  return program.text;
}

Deno.test("`expandProgram()` puts parameters into code, and leaves the rest alone", () => {
  const cases: readonly [program: string, expanded: string][] = [
    ["mov eax, {length}", "mov eax, 64"],
    ["mov eax, {length * 2 + 1}", "mov eax, 129"],
    ["times {length} db '{mode}'", "times 64 db 'fast'"],
    ["hlt ; {anything goes}", "hlt ; {anything goes}"],
    ["db ';', {length} ; {x}", "db ';', 64 ; {x}"],
    ["db `\\`;`, {length}", "db `\\`;`, 64"],
    ['db "{{length}}"', 'db "{length}"'],
    ["%{1}: dd %{2}, {length}", "%{1}: dd %{2}, 64"],
    ["a {length}\n\n  b {length}\n", "a 64\n\n  b 64\n"],
    ["db {on}", "db true"],
  ];
  for (const [program, expanded] of cases) {
    assertEquals(expand(program, { length: 64, mode: "fast", on: true }), expanded);
  }
});

Deno.test("parameters go into values, with their type where they are the whole value", () => {
  const text = [
    "why: '{not} touched'",
    "parameters: { length: [5], mode: [fast], on: [true], word: [shutdown] }",
    "guest:",
    '  program: "hlt"',
    '  disks: [ { pattern: "{mode} {n} {{n}} {length + 1}", sectors: "{length}", read-only: "{on}" } ]',
    "expect:",
    '  console: { matches: "^x{{{length}}}y{3}$", starts-with: "{mode}", length: "{length * 2}" }',
    '  memory: { a: "{length}", b: "n={length}" }',
    '  exits: { in-order: [ { hypercall: { name: "{word}", number: "{length}" } } ] }',
  ].join("\n");
  const [group] = planned(text);
  const expect = group?.cases[0]?.expect;
  assertEquals(group?.why, "{not} touched");
  assertEquals(group?.guest.disks, [{ sectors: 5, readOnly: true, pattern: "fast {n} {n} 6" }]);
  const bytes = (text: string) => new TextEncoder().encode(text);
  assertEquals(expect?.console?.value, {
    is: "all-of",
    matchers: [
      { is: "matches", pattern: "^x{5}y{3}$" },
      { is: "starts-with", bytes: bytes("fast") },
      { is: "length", length: { is: "literal", value: 10n } },
    ],
  });
  assertEquals(expect?.memory["a"]?.value, { is: "integer", value: { is: "literal", value: 5n } });
  assertEquals(expect?.memory["b"]?.value, { is: "starts-with", bytes: bytes("n=5") });
  assertEquals(expect?.exits?.inOrder?.value[0]?.fields, {
    name: { is: "literal", value: "shutdown" },
    number: { is: "literal", value: 5n },
  });
});

Deno.test("braces that are no parameters get a diagnostic where they stand", () => {
  const head = "why: x\nparameters: { length: [5, 64] }\nguest:\n  program: |\n";
  const cases: readonly [text: string, ...problems: string[]][] = [
    [head + "    mov eax, {lenght}\n", '5:15 Unknown parameter "lenght" | Did you mean "length"?'],
    [
      head + "    mov eax, {length +}\n",
      "5:22 The expression ends too soon | Write {{ and }} for braces that are no expression",
    ],
    [head + "    nop\n    db { ; x\n", "6:5 A lone { | Write {{ for a brace"],
    [head + "    nop\nexpect: { console: 'a } b' }\n", "6:20 A lone } | Write }} for a brace"],
    [
      head + "    nop\nexpect: { console: '{\"a\": 1}' }\n",
      "6:25 Unexpected : in an expression | Write {{ and }} for braces that are no expression",
    ],
    [
      head + "    nop\nexpect: { registers: { rax: '{length == 5}' } }\n",
      "6:29 Expected an integer, a range such as `{ at-least: 5 }`, `any` or `$name`, found `true`",
    ],
    [
      head + "    nop\nexpect: { registers: { rax: {length} } }\n",
      '6:30 Unknown key "length" in `rax` | YAML reads {length} as a map: write "{length}" in quotes',
    ],
    [
      "why: x\nguest: { program: 'mov eax, {length}' }",
      '2:30 Unknown parameter "length" | Name it under `parameters`, or write {{ and }} for braces',
    ],
    [
      "why: x\nparameters: { n: [1] }\nguest: { program: 'hlt' }",
      "2:15 The name \"n\" is taken: it is the sector's number in a disk's pattern | Choose a longer name",
    ],
    // A parameter with a mistake of its own is known all the same.
    [
      "why: x\nparameters: { mode: fast }\nguest: { program: 'db {mode}' }",
      '2:21 Expected a list, found "fast" | Write [fast] for a list of one',
    ],
  ];
  for (const [text, ...expected] of cases) assertEquals(problems(text), expected, text);
});

Deno.test("a scenario without parameters has literal braces too", () => {
  const { console } = expectations('expect: { console: "{{}}" }');
  assertEquals(console?.value, { is: "equal", bytes: new TextEncoder().encode("{}") });
});

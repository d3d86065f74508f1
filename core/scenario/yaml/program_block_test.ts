import { assert, assertEquals } from "@std/assert";
import { positionOf } from "../../base/source.ts";
import { Findings } from "../findings.ts";
import { valueOf } from "./node.ts";
import { parseYaml } from "./parse.ts";
import { findCutProgram, lineSpans } from "./program_block.ts";

/** The lines of a program's value, and the text that their spans cover. */
function linesOf(text: string): { readonly lines: string[]; readonly covered: string[] } {
  const program = valueOf(parseYaml({ name: "test.yaml", text }, new Findings()), "program");
  assert(program?.kind === "scalar" && typeof program.value === "string");
  const covered = lineSpans(program).map(({ file, start, end }) => file.text.slice(start, end));
  return { lines: program.value.split("\n"), covered };
}

Deno.test("`lineSpans()` covers exactly the lines of a literal block", () => {
  const blocks = [
    "program: |\n  start:\n      hlt\nend: 1",
    "program: |\n\n\n  start:\n\n      hlt\n\n\nend: 1",
    "program: |-\n  a\n  b",
    "program: |+\n  a\n\n\n",
    "program: |  # comment\n        a\n          b\n        c\n",
    "program: |2\n    a\n  b\n      c\nend: 1",
    "program: |\n  \ta\n  b ; x\n",
  ];
  for (const block of blocks) {
    const { lines, covered } = linesOf(block);
    assertEquals(covered.map((line) => line.trimEnd()), lines.map((line) => line.trimEnd()), block);
    const windows = linesOf(block.replaceAll("\n", "\r\n"));
    assertEquals(
      windows.covered.map((line) => line.trimEnd()),
      lines.map((line) => line.trimEnd()),
    );
  }
});

Deno.test("`lineSpans()` has the whole of a quoted program for each of its lines", () => {
  const { lines, covered } = linesOf('program: "a\\nb"\n');
  assertEquals([lines, covered], [["a", "b"], ['"a\\nb"', '"a\\nb"']]);
});

Deno.test("`findCutProgram()` finds a line left of the program's first one", () => {
  const cut: readonly [text: string, place: string][] = [
    ["guest:\n  program: |\n        mov ax, 1\n    label:\n        hlt\n", "4:5"],
    ["guest:\n  program: |\n        mov ax, 1\n  hlt\n", "4:3"],
    ["guest:\n  program: |\n        mov ax, 1\nret\n", "4:1"],
    ["guest:\n  program: |   # x\n\n        mov ax, 1\n\n     hlt\n", "6:6"],
  ];
  for (const [text, place] of cut) {
    const findings = new Findings();
    assert(findCutProgram({ name: "test.yaml", text }, findings), text);
    const [{ span } = { span: undefined }] = findings.list();
    assert(span);
    const { line, column } = positionOf(span.file, span.start);
    assertEquals(`${line}:${column}`, place);
  }
});

Deno.test("`findCutProgram()` leaves whole programs alone", () => {
  const whole = [
    "guest:\n  program: |\n    start:\n        hlt\n  entry: long64\n",
    "guest:\n  program: |\n    start:\n        hlt\nexpect: {}\n",
    "guest:\n  program: |\n    hlt\n# comment\nexpect: {}\n",
    'guest:\n  program: |\n    hlt\n  # comment\n  "entry": long64\n',
    "guest:\n  program: |\n    hlt\n",
    "guest:\n  program: |\n",
    "guest:\n  program: |",
    'guest: { program: "hlt" }',
    "guest:\n  program: |\n    hlt\n...\n",
  ];
  for (const text of whole) {
    const findings = new Findings();
    assert(!findCutProgram({ name: "test.yaml", text }, findings), text);
    assertEquals(findings.list(), []);
  }
});

import { assertEquals } from "@std/assert";
import type { SourceFile } from "../../base/source.ts";
import type { Program } from "../../scenario/case.ts";
import { assemble, sourceOfFile, sourceOfProgram } from "./assemble.ts";

/** A program as a scenario holds it: text with parameters put in, and the lines of the YAML it came from. */
function program(yaml: string, text: string): { file: SourceFile; program: Program } {
  const file = { name: "s.yaml", text: yaml };
  let at = 0;
  const lines = yaml.split("\n").map((line) => {
    const indent = line.length - line.trimStart().length;
    const span = { file, start: at + indent, end: at + line.length };
    at += line.length + 1;
    return span;
  });
  return { file, program: { text, lines } };
}

Deno.test("sourceOfProgram() points into the YAML", () => {
  const made = program("    start:\n    mov rax, bl\n", "start:\nmov rax, bl\n");
  const { diagnostics } = assemble([sourceOfProgram(made.program)], { bits: 64, origin: 0 });
  const span = diagnostics[0]?.span;
  assertEquals(made.file.text.slice(span?.start, span?.end), "rax, bl");
  assertEquals(span?.file, made.file);
});

/** Line of the YAML, the same with parameters, columns in it, and the text of the YAML they map to. */
const COLUMNS: readonly (readonly [string, string, number, number, string])[] = [
  ["mov ecx, {length} ; x", "mov ecx, 5 ; x", 0, 3, "mov"],
  ["mov ecx, {length} ; x", "mov ecx, 5 ; x", 4, 7, "ecx"],
  ["mov ecx, {length} ; x", "mov ecx, 5 ; x", 9, 10, "{length}"],
  ["mov ecx, {length} ; x", "mov ecx, 5 ; x", 13, 14, "x"],
  ["add {a}, ebx", "add 0x123456, ebx", 14, 17, "ebx"],
  ["add {a}, ebx", "add 0x123456, ebx", 4, 12, "{a}"],
  ["add {a}, ebx", "add 0x123456, ebx", 0, 17, "add {a}, ebx"],
  ["nop", "nop", 0, 3, "nop"],
  ["{all}", "hlt", 0, 3, "{all}"],
];

Deno.test("sourceOfProgram() finds its columns around parameters", () => {
  for (const [before, after, start, end, expected] of COLUMNS) {
    const { file, program: made } = program(`  ${before}`, after);
    const span = sourceOfProgram(made).span(1, start, end);
    assertEquals(file.text.slice(span.start, span.end), expected, `${after} ${start}..${end}`);
  }
});

Deno.test("sourceOfFile() answers the same source for the same file", () => {
  const file = { name: "a.inc", text: "nop\r\n  hlt\n" };
  assertEquals(sourceOfFile(file) === sourceOfFile(file), true);
  const { start, end } = sourceOfFile(file).span(2, 2, 5);
  assertEquals(file.text.slice(start, end), "hlt");
});

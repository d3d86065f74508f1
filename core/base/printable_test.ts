import { assertEquals } from "@std/assert";
import { renderDiagnostic } from "./diagnostic.ts";
import { printable } from "./printable.ts";

const CASES: readonly (readonly [text: string, shown: string])[] = [
  ["plain\ttext, ünïcödé", "plain\ttext, ünïcödé"],
  ["\x1b[2J\x07\r\n\0", "␛[2J␇␍␊␀"],
  ["\x7f\x9b31m", "␡\ufffd31m"],
  ["a\u202eb\u2066c\u2028d", "a\ufffdb\ufffdc\ufffdd"],
];

for (const [text, shown] of CASES) {
  Deno.test(`printable() leaves nothing to obey in ${JSON.stringify(text)}`, () => {
    assertEquals(printable(text), shown);
    assertEquals(printable(text).length, text.length);
  });
}

Deno.test("renderDiagnostic() shows control characters of names, messages, lines and suggestions", () => {
  const file = { name: "a\x1b[2J.yaml", text: "x: \x1b]0;t\x07y\r\nz" };
  const told = renderDiagnostic({
    severity: "error",
    message: 'Unknown "\x1b[31m"',
    span: { file, start: 3, end: 4 },
    suggestion: "Write\x9b",
  });
  assertEquals(
    told,
    'a␛[2J.yaml:1:4: error: Unknown "␛[31m"\n  1 | x: ␛]0;t␇y\n    |    ^\n  Write\ufffd',
  );
});

Deno.test("renderDiagnostic() shows the part of a long line that the caret is under", () => {
  const file = { name: "a", text: "x".repeat(100_000) + "here" + "y".repeat(100_000) };
  const told = renderDiagnostic({
    severity: "error",
    message: "m",
    span: { file, start: 100_000, end: 200_004 },
  });
  const [head, line = "", caret = ""] = told.split("\n");
  assertEquals(head, "a:1:100001: error: m");
  assertEquals(line.length < 200, true);
  assertEquals(line.startsWith("  1 | …xxx") && line.endsWith("yyy…"), true, line);
  assertEquals(line.indexOf("here"), caret.indexOf("^"));
  assertEquals(caret.length <= line.length, true);
});

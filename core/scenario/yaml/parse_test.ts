import { assert, assertEquals } from "@std/assert";
import { positionOf } from "../../base/source.ts";
import { bytesOfText } from "../bytes.ts";
import { Findings } from "../findings.ts";
import { entriesOf, itemsOf, type Node, valueOf } from "./node.ts";
import { MAX_TEXT, parseYaml } from "./parse.ts";

function parse(text: string): { readonly tree: Node | undefined; readonly problems: string[] } {
  const findings = new Findings();
  const file = { name: "test.yaml", text };
  const tree = parseYaml(file, findings);
  const problems = findings.list().map(({ message, span }) => {
    const { line, column } = positionOf(file, span?.start ?? 0);
    return `${line}:${column} ${message}`;
  });
  return { tree, problems };
}

const textAt = ({ span: { file, start, end } }: Node) => file.text.slice(start, end);

Deno.test("`parseYaml()` gives values with their place", () => {
  const { tree, problems } = parse(
    "a: 0x10   # comment\nb: [ 'x', \"y\" ]\nc:\n  d: text   \ne: |\n  hlt\n\n",
  );
  assertEquals(problems, []);
  const [a, b, c, e] = ["a", "b", "c", "e"].map((key) => valueOf(tree, key));
  assert(a && b && c && e);
  assertEquals(a.kind === "scalar" && a.value, 16n);
  assertEquals(textAt(a), "0x10");
  assertEquals(textAt(b), "[ 'x', \"y\" ]");
  assertEquals(itemsOf(b).map((item) => item.kind === "scalar" && item.style), [
    "single",
    "double",
  ]);
  assertEquals(entriesOf(c).map(({ key, value }) => [key, textAt(value)]), [["d", "text"]]);
  assertEquals(e.kind === "scalar" && e.value, "hlt\n");
  assertEquals(textAt(e), "|\n  hlt");
});

Deno.test("`parseYaml()` reads Windows line ends and byte-order marks", () => {
  const { tree, problems } = parse("\ufeffa: 1\r\nb: |\r\n  x\r\n  y\r\n");
  assertEquals(problems, []);
  const b = valueOf(tree, "b");
  assertEquals(b?.kind === "scalar" && b.value, "x\ny\n");
});

Deno.test("`parseYaml()` tells bytes written as \\xNN from characters", () => {
  const { tree } = parse('a: "\\xe9\u00e9\\u00e9\\x41\\\\xff\\_"');
  const a = valueOf(tree, "a");
  assert(a?.kind === "scalar" && typeof a.value === "string");
  assertEquals(
    [...bytesOfText(a.value)],
    [0xe9, 0xc3, 0xa9, 0xc3, 0xa9, 0x41, 0x5c, 0x78, 0x66, 0x66, 0xc2, 0xa0],
  );
});

Deno.test("`parseYaml()` says in our words what is not YAML", () => {
  const cases: readonly [text: string, ...problems: string[]][] = [
    ["a: b: c", "1:4 A second key can't stand on the line of the first"],
    ["a:\n\tb: 1", "2:1 A tab can't indent YAML"],
    ["a: |\n\tb", "2:1 A tab can't indent YAML"],
    ["a: 1\n---\nb: 1", "2:1 The file holds several documents"],
    ['a: "b', "1:6 A quoted text is not closed"],
    ["a: { b: 1\nc: 2", "1:4 This { is not closed"],
    ["a: { b: [1, { c: 2 }] }\nd: [ { e: 1 }", "2:4 This [ is not closed"],
    ["a: { b: [1, 2 }\n", "1:9 This [ is not closed"],
    ["guest:\n  program: |\n    start:\n\t\thlt\n", "4:1 A tab can't indent YAML"],
    ["a: %d", "1:4 Unquoted text can't begin with this character"],
    ["a: @b", "1:4 Unquoted text can't begin with this character"],
    [
      "a: 1\n  b: 2",
      "1:4 The next line is indented deeper than this key, which has a value already",
    ],
    ["a: [1] x", "1:8 This can't stand here"],
    ["a: 1\na: 2\nb: 1\nb: 2", '2:1 The key "a" is there twice', '4:1 The key "b" is there twice'],
    [
      'a: "\\q \\8"',
      "1:5 Unknown escape in a double-quoted text",
      "1:8 Unknown escape in a double-quoted text",
    ],
    ["a: *b", "1:4 No value before this one has the anchor &b"],
    ["a: &b [*b]", "1:8 No value before this one has the anchor &b"],
    ["? [a]\n: 1", "1:3 Only text can be a key"],
    ["a: !foo 1", "1:4 Unknown tag"],
    ["a: 010", "1:4 YAML 1.2 reads 010 as the decimal number 10"],
  ];
  for (const [text, ...problems] of cases) {
    assertEquals(parse(text).problems, problems, text);
  }
});

Deno.test("`parseYaml()` follows aliases, but not into a bomb", () => {
  const { tree, problems } = parse("a: &x [1, 2]\nb: *x");
  assertEquals(problems, []);
  assertEquals(itemsOf(valueOf(tree, "b")).length, 2);
  const lines = ["a0: &a0 [1,1,1,1,1,1,1,1,1,1]"];
  for (let i = 1; i < 10; i++) {
    lines.push(`a${i}: &a${i} [${Array(10).fill(`*a${i - 1}`).join(",")}]`);
  }
  assert(parse(lines.join("\n")).problems.some((problem) => problem.includes("too many values")));
});

Deno.test("`parseYaml()` bounds depth and length", () => {
  for (
    const text of [
      "[".repeat(5_000),
      "- ".repeat(5_000),
      "{a: ".repeat(5_000),
      "? ".repeat(5_000),
    ]
  ) {
    assert(parse(text).problems[0]?.includes("nested too deeply"), text.slice(0, 10));
  }
  assert(parse("#".repeat(MAX_TEXT + 1)).problems[0]?.includes("longer than"));
});

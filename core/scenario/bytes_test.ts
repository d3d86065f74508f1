import { assertEquals } from "@std/assert";
import { bytesOfHex, bytesOfText, escapedByte, markEscapedBytes } from "./bytes.ts";

Deno.test("`bytesOfText()` is UTF-8, but for escaped bytes", () => {
  assertEquals([...bytesOfText("a\u00e9\u{1f600}")], [0x61, 0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80]);
  assertEquals([...bytesOfText("a" + escapedByte(0xff) + "\u{1f600}")], [
    0x61,
    0xff,
    0xf0,
    0x9f,
    0x98,
    0x80,
  ]);
});

Deno.test("`markEscapedBytes()` marks what was written as \\xNN, and nothing else", () => {
  const marked = escapedByte(0xe9);
  const cases: readonly [value: string, source: string, expected: string][] = [
    ["\u00e9", '"\\xe9"', marked],
    ["\u00e9", '"\\u00e9"', "\u00e9"],
    ["\u00e9\u00e9", '"\\u00e9\\xE9"', "\u00e9" + marked],
    ["\u00e9\u00e9", '"\\xe9\u00e9"', marked + "\u00e9"],
    ["\u2028\u00e9", '"\\u2028\\xe9"', "\u2028" + marked],
    ["\u2028\u00e9", '"\\L\\xe9"', "\u2028" + marked],
    ["\u0085\u00e9", '"\\N\\xe9"', "\u0085" + marked],
    ["\\xe9\u00e9", '"\\\\xe9\\xe9"', "\\xe9" + marked],
    ["\u{1f600}\u00e9", '"\\U0001f600\\xe9"', "\u{1f600}" + marked],
  ];
  for (const [value, source, expected] of cases) {
    assertEquals(markEscapedBytes(value, source), expected, source);
  }
});

Deno.test("`bytesOfHex()` reads pairs of digits", () => {
  assertEquals([...bytesOfHex(" 0f 0B\n7c")], [0x0f, 0x0b, 0x7c]);
  assertEquals([...bytesOfHex("")], []);
  assertEquals([...bytesOfHex("0f 0")], []);
  assertEquals([...bytesOfHex("zz")], []);
});

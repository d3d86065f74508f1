import { assertEquals } from "@std/assert";
import { cut, grouped, left, right, short, times, wrap } from "./columns.ts";

Deno.test("left() and right() pad to a width, and never let columns touch", () => {
  assertEquals(left("ab", 5), "ab   ");
  assertEquals(left("abcdef", 5), "abcdef  ");
  assertEquals(right("ab", 5), "   ab");
  assertEquals(right("abcdef", 5), " abcdef");
});

Deno.test("cut() counts characters and marks what it leaves out", () => {
  assertEquals(cut("abc", 3), "abc");
  assertEquals(cut("abcd", 3), "ab…");
  assertEquals(cut("😀😀😀", 2), "😀…");
});

const NUMBERS: readonly (readonly [number, string])[] = [
  [0, "0"],
  [999, "999"],
  [1000, "1 000"],
  [46_870, "46 870"],
  [1_234_567, "1 234 567"],
];
for (const [value, text] of NUMBERS) {
  Deno.test(`grouped() is "${text}" for ${value}`, () => assertEquals(grouped(value), text));
}

const RATIOS: readonly (readonly [number, string])[] = [
  [1, "1.00x"],
  [1.05, "1.05x"],
  [4.44, "4.4x"],
  [38.9, "39x"],
  [1234, "1 234x"],
  [Infinity, "–"],
  [NaN, "–"],
];
for (const [ratio, text] of RATIOS) {
  Deno.test(`times() is "${text}" for ${ratio}`, () => assertEquals(times(ratio), text));
}

Deno.test("wrap() breaks at spaces, and leaves long words whole", () => {
  assertEquals(wrap("a bb  ccc\nabcdefgh d", 5), ["a bb", "ccc", "abcdefgh", "d"]);
  assertEquals(wrap("", 5), []);
});

const SHORT: readonly (readonly [number, string])[] = [
  [999_999, "999 999"],
  [1_000_000, "1.000 M"],
  [6_213_293, "6.213 M"],
  [987_654_321, "987.7 M"],
  [9_876_543_210, "9.877 G"],
  [12_345_678_901_234, "12.35 T"],
];
for (const [value, text] of SHORT) {
  Deno.test(`short() is "${text}" for ${value}`, () => assertEquals(short(value), text));
}

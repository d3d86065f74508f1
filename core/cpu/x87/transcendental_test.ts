// Transcendental functions against true values, computed by mpmath 1.3 with 700 bits; among the angles are those that come nearest
// to multiples of pi / 2 of all that have 64 bits.
import { assertEquals } from "@std/assert";
import { Float80 } from "./float80.ts";
import { AT } from "./registers.ts";
import * as T from "./transcendental.ts";
import { Unit } from "./unit.ts";

function parse(text: string): Float80 {
  const value = new Float80();
  const word = (from: number, to: number) => Number.parseInt(text.slice(from, to), 16);
  value.set(word(0, 4) >> 15, word(0, 4) & 0x7fff, word(4, 12) | 0, word(12, 20) | 0);
  return value;
}

function print({ negative, exponent, significand }: Float80): string {
  const upper = (negative << 15 | exponent).toString(16).padStart(4, "0");
  return upper + significand.toString(16).padStart(16, "0");
}

const FUNCTIONS = {
  sin: (u: Unit, x: Float80) => T.sin(u, x),
  cos: (u: Unit, x: Float80) => T.cos(u, x),
  tan: (u: Unit, x: Float80) => T.tan(u, x),
  atan: (u: Unit, x: Float80, y: Float80) => T.arctangent(u, y, x),
  exp: (u: Unit, x: Float80) => T.power(u, x),
  log: (u: Unit, x: Float80, y: Float80) => T.yLogX(u, y, x),
  log1: (u: Unit, x: Float80, y: Float80) => T.yLogX1(u, y, x),
};

/** Function, operand, true value rounded to nearest; the other operand, ST(1). */
const ROWS: readonly (readonly [keyof typeof FUNCTIONS, string, string, string?])[] = [
  ["sin", "4024bc15f7fcae2ab1da", "3ffeff6abeafcea18a88"],
  ["sin", "c02e95b24e4677af8901", "3ffedf17ef31e53d5327"],
  ["sin", "3fef95adbb0000000000", "3fef95adbaffdde34e7b"],
  ["sin", "402ffb3ab09a4ba1d149", "bfff8000000000000000"],
  ["sin", "4030fb3ab09a4ba1d149", "3fbbdde293c6704a0ec2"],
  ["cos", "4031f02a941656b5df2e", "bffde8c7f9d2a4f6e865"],
  ["cos", "3fc9affb700000000000", "3fff8000000000000000"],
  ["cos", "402ffb3ab09a4ba1d149", "bfbadde293c6704a0ec2"],
  ["cos", "40088cfa9dccae6cf42c", "3fbbdcbce5e4b5396af8"],
  ["cos", "403b92ebc57f85963e64", "bfbbe07fc7fd31b3447a"],
  ["tan", "c021ea95f90fbd78359a", "bffdec98bee1d1e973b2"],
  ["tan", "3fcfaac1bc4c058bab09", "3fcfaac1bc4c058bab09"],
  ["tan", "402ffb3ab09a4ba1d149", "404393ae1864cdb21f76"],
  ["tan", "4030fb3ab09a4ba1d149", "bfbbdde293c6704a0ec2"],
  ["atan", "4019ba1de66896e56fb5", "3feeaa0542d431b7ff68", "4008f7375c5a01763113"],
  ["atan", "3fe8bbae8cdb73582798", "bfffc90fdaa2163a567e", "c00c864843e36deafec0"],
  ["atan", "bfeaaa1bbc213c5e68f7", "3fffc90fdaa22168c4e0", "401ffecda34cbdfa39e7"],
  ["atan", "400684ba0c0000000000", "bfd1c41095d606bc43af", "bfd8cb4e150000000000"],
  ["exp", "bfb9d73bb7d17e7ff212", "bfb9953036d66c49297e"],
  ["exp", "bfd8924522ffc9e3ec9b", "bfd7cac5fb5c7dd1d900"],
  ["exp", "3ff5a1c8740000000000", "3ff4e05ff6a65520f373"],
  ["exp", "bfff8000000000000000", "bffe8000000000000000"],
  ["log", "62cbcb982df6bd938f15", "c00da87d7b43e1719029", "c0009aef8d613f73d89b"],
  ["log", "4d51b206e5c15ad84ab8", "400d90d835ee769dd771", "4001adf5886a37a28f2a"],
  ["log1", "bff6a8d17d0000000000", "bff69c4b05a1dd5f3a97", "3ffea41192868733239f"],
  ["log1", "bfba8000000000000001", "bfb7fb2cc87856875f99", "3ffcae19e810a57d7d83"],
];

const ONE = "3fff8000000000000000";
const INITIAL_CONTROL = 0x37f, UP = 2 << 10, DOWN = 1 << 10;

function unit(control: number): Unit {
  const u = new Unit(new DataView(new ArrayBuffer(0x1000)));
  u.view.setUint16(AT.control, control, true);
  u.begin();
  return u;
}

Deno.test("transcendental functions give the number nearest to the true value", () => {
  for (const [name, x, expected, y = ONE] of ROWS) {
    const u = unit(INITIAL_CONTROL);
    FUNCTIONS[name](u, parse(x), parse(y));
    assertEquals(print(u.r), expected, `${name} ${x}`);
  }
});

Deno.test("rounding control holds where the function is all but its operand", () => {
  // sin x < x < tan x, by less than any bit that is kept; 1 + x and cos x likewise.
  const x = "3f008000000000000000", less = "3effffffffffffffffff", more = "3f008000000000000001";
  const rows = [
    ["sin", UP, x],
    ["sin", DOWN, less],
    ["tan", UP, more],
    ["tan", DOWN, x],
    ["cos", UP, ONE],
    ["cos", DOWN, "3ffeffffffffffffffff"],
    ["atan", UP, x],
    ["atan", DOWN, less],
  ] as const;
  for (const [name, rounding, expected] of rows) {
    const u = unit(INITIAL_CONTROL & ~0xc00 | rounding);
    // The angle of a point is that of its ordinate, where the abscissa is 1.
    const [a, b] = name === "atan" ? [ONE, x] : [x, ONE];
    FUNCTIONS[name](u, parse(a), parse(b));
    assertEquals(print(u.r), expected, `${name}, rounding ${rounding >> 10}`);
  }
});

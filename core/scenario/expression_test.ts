import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { evaluate } from "./expression.ts";

const PARAMETERS = { length: 64, mode: "fast", on: true };

Deno.test("`evaluate()` knows the operators and precedence of C", () => {
  const cases: readonly [string, number | string | boolean][] = [
    ["length", 64],
    ["length * 2 + 1", 129],
    ["1 + 2 * 3", 7],
    ["(1 + 2) * 3", 9],
    ["10 - 3 - 2", 5],
    ["7 / 2", 3],
    ["-7 / 2", -3],
    ["-7 % 3", -1],
    ["0 * -1", 0],
    ["- - 3", 3],
    ["0x10", 16],
    ["length >= 64", true],
    ["length < 64", false],
    ["length == 64 && mode == 'fast'", true],
    ['mode != "fast" || on', true],
    ["!on", false],
    ["!(1 > 2) && true", true],
    ["1 < 2 == true", true],
    ["1 + 1 > 1 || 1 / 1 == 2", true],
    ["'a b'", "a b"],
  ];
  for (const [text, value] of cases) assertEquals(evaluate(text, PARAMETERS), { value }, text);
});

Deno.test("`evaluate()` says what is wrong, and where", () => {
  const cases: readonly [text: string, fault: RegExp, at: number][] = [
    ["", /too soon/, 0],
    ["length *", /too soon/, 7],
    ["lenght", /Unknown parameter "lenght"/, 0],
    ["1 + constructor", /Unknown parameter/, 4],
    ["__proto__", /Unknown parameter/, 0],
    ["(1", /too soon/, 1],
    ["1 2", /Unexpected 2/, 2],
    ["1)", /Unexpected \)/, 1],
    ["length = 64", /Unexpected =/, 7],
    ["length + mode", /\+ wants an integer, not a text/, 7],
    ["mode == 1", /== wants a text, not an integer/, 5],
    ["!length", /! wants true or false/, 0],
    ["-on", /- wants an integer/, 0],
    ["1 / 0", /Division by zero/, 2],
    ["1 % (1 - 1)", /Division by zero/, 2],
    ["0x20000000000000", /too big/, 0],
    ["0x1fffffffffffff + 1", /too big/, 17],
    ["'a", /Unexpected '/, 0],
    ["#", /Unexpected #/, 0],
    [
      "((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))",
      /nested too deeply/,
      32,
    ],
    ["!".repeat(100) + "on", /nested too deeply/, 32],
    ["1+".repeat(200) + "1", /longer than/, 0],
  ];
  for (const [text, fault, at] of cases) {
    const result = evaluate(text, PARAMETERS);
    assert("fault" in result, text);
    assert(fault.test(result.fault), `${text}: ${result.fault}`);
    assertEquals(result.at, at, text);
  }
});

Deno.test("`evaluate()` suggests the parameter that was meant", () => {
  const result = evaluate("lenght", PARAMETERS);
  assertEquals("fault" in result && result.suggestion, 'Did you mean "length"?');
});

interface Sum {
  readonly text: string;
  readonly value: number;
}

const OPERATORS = {
  "+": (a: number, b: number) => a + b,
  "-": (a: number, b: number) => a - b,
  "*": (a: number, b: number) => a * b,
} as const;

Deno.test("`evaluate()` computes what random expressions were built to be", () => {
  const operator = fc.constantFrom("+" as const, "-" as const, "*" as const);
  const sums = fc.letrec<{ node: Sum }>((tie) => ({
    node: fc.oneof(
      { maxDepth: 5 },
      fc.integer({ min: 0, max: 99 }).map((value) => ({ text: String(value), value })),
      fc.tuple(tie("node"), operator, tie("node")).map(([a, op, b]) => ({
        text: `(${a.text} ${op} ${b.text})`,
        value: OPERATORS[op](a.value, b.value),
      })),
    ),
  })).node.filter(({ text }) => text.length <= 200);
  fc.assert(
    fc.property(sums, ({ text, value }) => {
      const result = evaluate(text, {});
      if ("value" in result) assertEquals(result.value, value === 0 ? 0 : value);
      else assert(/too big/.test(result.fault), result.fault);
    }),
    { seed: 1, numRuns: 500 },
  );
});

Deno.test("`evaluate()` never throws", () => {
  const tokens = fc.constantFrom(
    "length",
    "(",
    ")",
    "+",
    "-",
    "!",
    "==",
    "<",
    "'a'",
    "1",
    " ",
    "&&",
    "x",
  );
  const text = fc.oneof(
    fc.string(),
    fc.array(tokens, { maxLength: 60 }).map((parts) => parts.join("")),
  );
  fc.assert(fc.property(text, (text) => void evaluate(text, PARAMETERS)), {
    seed: 1,
    numRuns: 2000,
  });
});

// What an expression is worth at one place in the program, in one pass.
import type { Expression } from "./expression.ts";
import { REGISTER_NAMES } from "./isa/registers.ts";
import { MAX_ERRORS, type Reporter } from "./reporter.ts";
import type { Token } from "./token.ts";
import { binary, plain, unary, UNKNOWN, type Value } from "./value.ts";
import { suggest } from "./suggest.ts";

/** What names and `$` mean where an expression stands. */
export interface Scope {
  readonly reporter: Reporter;
  /** Address of the line, and of its section; undefined where there is none (the preprocessor). */
  readonly here: Value | undefined;
  readonly section: Value | undefined;
  /** The value of a full name; reports what it has to and answers UNKNOWN when there is none. */
  lookup(name: string, at: Token): Value;
}

/** Evaluates a tree; registers in it are an error. */
export function evaluate(expression: Expression, scope: Scope): Value {
  switch (expression.is) {
    case "value":
      return expression.value;
    case "symbol":
      return scope.lookup(expression.name, expression.at);
    case "here":
    case "section": {
      const value = expression.is === "here" ? scope.here : scope.section;
      return value ??
        scope.reporter.fail(`"${expression.at.text}" has no value here`, expression.at);
    }
    case "register":
      return scope.reporter.fail(
        `Register "${expression.at.text}" can't be part of this expression`,
        expression.at,
      );
    case "float":
      return scope.reporter.fail(
        "A floating-point constant can only stand alone, in dd, dq or dt",
        expression.at,
      );
    case "unary": {
      const value = evaluate(expression.operand, scope);
      if (expression.operator === "+") return value;
      if (expression.operator === "-") return scaled(value, -1n);
      return { ...plain(unary(expression.operator, value.n)), unknown: value.unknown };
    }
    case "conditional": {
      const condition = evaluate(expression.condition, scope);
      const yes = evaluate(expression.yes, scope);
      const no = evaluate(expression.no, scope);
      if (condition.unknown) return UNKNOWN;
      return condition.n !== 0n ? yes : no;
    }
    case "binary":
      return evaluateBinary(expression, scope);
  }
}

function evaluateBinary(
  { operator, left, right, at }: Expression & { is: "binary" },
  scope: Scope,
): Value {
  const a = evaluate(left, scope);
  const b = evaluate(right, scope);
  const unknown = a.unknown || b.unknown;
  const n = binary(operator, a.n, b.n);
  if (n === undefined) {
    // A divisor that is not known yet may well turn out not to be zero.
    return unknown ? UNKNOWN : scope.reporter.fail("Division by zero", at);
  }
  let relative = 0;
  if (operator === "+") relative = a.relative + b.relative;
  else if (operator === "-") relative = a.relative - b.relative;
  else if (operator === "*" && a.relative !== 0 && b.relative === 0) {
    relative = a.relative * Number(b.n);
  } else if (operator === "*" && b.relative !== 0 && a.relative === 0) {
    relative = b.relative * Number(a.n);
  }
  return { n: BigInt.asIntN(64, n), relative, section: sectionOf(a, b), unknown };
}

/** `factor` times the value. */
export function scaled(value: Value, factor: bigint): Value {
  return {
    n: BigInt.asIntN(64, value.n * factor),
    relative: value.relative * Number(factor),
    section: value.section,
    unknown: value.unknown,
  };
}

/** Where a result lies that is made from two operands: where the one that is an address does. */
function sectionOf(a: Value, b: Value): number {
  return a.relative !== 0 ? a.section : b.section;
}

/** Reports a name that nothing defines. */
export function reportUndefined(
  name: string,
  at: Token,
  known: readonly string[],
  reporter: Reporter,
): void {
  // Looking for likely names takes a while: nobody reads that many suggestions.
  if (reporter.errors >= MAX_ERRORS) {
    return reporter.error(`Label or constant "${name}" is not defined`, at);
  }
  const register = suggest(at.text, REGISTER_NAMES);
  // `.loop` below another label than the one it was meant to belong to.
  const elsewhere = at.text.startsWith(".") && !at.text.startsWith("..")
    ? known.find((k) => k.endsWith(at.text))
    : undefined;
  const suggestion = (elsewhere &&
    `A local label belongs to the label above it: this one is "${elsewhere}"`) ??
    suggest(name, known.filter((k) => !k.startsWith("..@"))) ??
    (register && `It is no register either. ${register}`) ??
    (at.text.startsWith(".")
      ? "A name that starts with a dot belongs to the label before it; write parent.name to reach another's"
      : undefined);
  reporter.error(`Label or constant "${name}" is not defined`, at, suggestion);
}

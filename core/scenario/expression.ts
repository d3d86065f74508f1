// The expressions in `{length * 2}` and in `when: "length >= 64"`: integers, texts, true and false, parameters, and the
// operators of C. Evaluated directly, by precedence climbing; text and nesting are bounded.
import type { Parameters, ParameterValue } from "./case.ts";
import { alternatives, suggest } from "./findings.ts";

/** What an expression comes to, or what is wrong with it and where (offset into its text). */
export type Evaluation =
  | { readonly value: ParameterValue }
  | {
    readonly fault: string;
    readonly suggestion?: string;
    readonly at: number;
    readonly length: number;
  };

/** Longest expression, in UTF-16 units. */
export const MAX_EXPRESSION = 256;

/** Deepest nesting of parentheses and signs. */
const MAX_NESTING = 32;

/**
 * Evaluates `text` with the parameters of one combination. Integers stay within 2^53; `/` and `%` are those of C: they
 * round toward zero.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * assertEquals(evaluate("length * 2", { length: 5 }), { value: 10 });
 * ```
 */
export function evaluate(text: string, parameters: Parameters): Evaluation {
  try {
    return { value: new Evaluator(text, parameters).whole() };
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    const { message, suggestion, at, length } = error;
    return { fault: message, at, length, ...(suggestion ? { suggestion } : {}) };
  }
}

/** Leaves the evaluator; never leaves this file. */
class Fault extends Error {
  constructor(
    message: string,
    readonly at: number,
    readonly length: number,
    readonly suggestion?: string,
  ) {
    super(message);
  }
}

interface Token {
  readonly kind: "number" | "text" | "name" | "operator" | "end";
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s+|(?<number>0[xX][0-9a-fA-F]+|[0-9]+)|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<text>'[^']*'|"[^"]*")|(?<operator>&&|\|\||[=!<>]=|[-+*\/%<>!()])/y;

/** Binary operators by precedence, loosest first. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!="],
  ["<", "<=", ">", ">="],
  ["+", "-"],
  ["*", "/", "%"],
];

class Evaluator {
  readonly #tokens: readonly Token[];
  #index = 0;
  #depth = 0;

  constructor(readonly text: string, readonly parameters: Parameters) {
    this.#tokens = tokenize(text);
  }

  whole(): ParameterValue {
    const value = this.#binary(0);
    const rest = this.#peek();
    if (rest.kind !== "end") throw this.#unexpected(rest);
    return value;
  }

  #peek(): Token {
    return this.#tokens[this.#index] ?? { kind: "end", text: "", at: this.text.length };
  }

  #unexpected(token: Token): Fault {
    return token.kind === "end"
      ? new Fault("The expression ends too soon", Math.max(0, this.text.trimEnd().length - 1), 1)
      : new Fault(`Unexpected ${token.text} in an expression`, token.at, token.text.length);
  }

  #binary(level: number): ParameterValue {
    const operators = LEVELS[level];
    if (!operators) return this.#unary();
    let left = this.#binary(level + 1);
    while (this.#peek().kind === "operator" && operators.includes(this.#peek().text)) {
      const operator = this.#peek();
      this.#index++;
      left = apply(operator, left, this.#binary(level + 1));
    }
    return left;
  }

  #unary(): ParameterValue {
    const token = this.#peek();
    if (token.kind !== "operator" || (token.text !== "-" && token.text !== "!")) {
      return this.#primary();
    }
    this.#descend(token);
    this.#index++;
    const value = this.#unary();
    this.#depth--;
    if (token.text === "!") return !expect(value, "boolean", token);
    return -expect(value, "number", token);
  }

  #primary(): ParameterValue {
    const token = this.#peek();
    this.#index++;
    switch (token.kind) {
      case "number":
        return checked(Number(token.text), token);
      case "text":
        return token.text.slice(1, -1);
      case "name":
        return this.#named(token);
      case "operator": {
        if (token.text !== "(") throw this.#unexpected(token);
        this.#descend(token);
        const value = this.#binary(0);
        this.#depth--;
        const close = this.#peek();
        if (close.text !== ")" || close.kind !== "operator") throw this.#unexpected(close);
        this.#index++;
        return value;
      }
      case "end":
        throw this.#unexpected(token);
    }
  }

  #descend({ at }: Token): void {
    if (++this.#depth > MAX_NESTING) throw new Fault("The expression is nested too deeply", at, 1);
  }

  #named({ text, at }: Token): ParameterValue {
    if (text === "true") return true;
    if (text === "false") return false;
    const value = Object.hasOwn(this.parameters, text) ? this.parameters[text] : undefined;
    if (value !== undefined) return value;
    const names = Object.keys(this.parameters);
    const hint = names.length === 0
      ? "Name it under `parameters`, or write {{ and }} for braces"
      : suggest(text, names) ?? `Parameters are ${names.join(", ")}`;
    throw new Fault(`Unknown parameter "${text}"`, at, text.length, hint);
  }
}

function tokenize(text: string): readonly Token[] {
  if (text.length > MAX_EXPRESSION) {
    throw new Fault(`The expression is longer than ${MAX_EXPRESSION} characters`, 0, text.length);
  }
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
    const groups = TOKEN.exec(text)?.groups;
    if (!groups) {
      const character = String.fromCodePoint(text.codePointAt(at) ?? 0);
      const known = { "=": "Write == to compare", "&": "Write &&", "|": "Write ||" }[character];
      throw new Fault(`Unexpected ${character} in an expression`, at, character.length, known);
    }
    for (const kind of ["number", "name", "text", "operator"] as const) {
      const found = groups[kind];
      if (found !== undefined) tokens.push({ kind, text: found, at });
    }
  }
  return tokens;
}

/** How `typeof` names the types, and how we do. */
const TYPE_WORDS = { number: "an integer", string: "a text", boolean: "true or false" } as const;
type TypeName = keyof typeof TYPE_WORDS;

function typeName(value: ParameterValue): TypeName {
  return typeof value === "number" ? "number" : typeof value === "string" ? "string" : "boolean";
}

function mismatch(value: ParameterValue, wanted: readonly TypeName[], { text, at }: Token): Fault {
  const words = alternatives(wanted.map((type) => TYPE_WORDS[type]));
  return new Fault(`${text} wants ${words}, not ${TYPE_WORDS[typeName(value)]}`, at, text.length);
}

function expect(value: ParameterValue, type: "number", operator: Token): number;
function expect(value: ParameterValue, type: "boolean", operator: Token): boolean;
function expect(value: ParameterValue, type: TypeName, operator: Token): ParameterValue {
  if (typeName(value) !== type) throw mismatch(value, [type], operator);
  return value;
}

function checked(value: number, { text, at }: Token): number {
  if (!Number.isSafeInteger(value)) {
    throw new Fault("The number is too big for an expression", at, text.length, "Stay below 2^53");
  }
  return value === 0 ? 0 : value; // never -0
}

function apply(operator: Token, left: ParameterValue, right: ParameterValue): ParameterValue {
  switch (operator.text) {
    case "||":
    case "&&": {
      const [a, b] = [expect(left, "boolean", operator), expect(right, "boolean", operator)];
      return operator.text === "||" ? a || b : a && b;
    }
    case "==":
    case "!=":
      if (typeof left !== typeof right) throw mismatch(right, [typeName(left)], operator);
      return (left === right) === (operator.text === "==");
    default:
      return arithmetic(
        operator,
        expect(left, "number", operator),
        expect(right, "number", operator),
      );
  }
}

function arithmetic(operator: Token, a: number, b: number): ParameterValue {
  switch (operator.text) {
    case "<":
      return a < b;
    case "<=":
      return a <= b;
    case ">":
      return a > b;
    case ">=":
      return a >= b;
    case "+":
      return checked(a + b, operator);
    case "-":
      return checked(a - b, operator);
    case "*":
      return checked(a * b, operator);
    default:
      if (b === 0) throw new Fault("Division by zero", operator.at, operator.text.length);
      return checked(operator.text === "/" ? Math.trunc(a / b) : a % b, operator);
  }
}

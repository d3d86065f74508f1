// Parses NASM's expressions (NASM manual, 3.5) into trees. What names are worth is found later, by `evaluate.ts`.
import type { Cursor } from "./cursor.ts";
import { registerNamed } from "./isa/registers.ts";
import type { Token } from "./token.ts";
import { plain, type Value, ZERO } from "./value.ts";

export type Expression =
  | { readonly is: "value"; readonly value: Value; readonly at: Token; readonly text?: string }
  | { readonly is: "symbol"; readonly name: string; readonly at: Token }
  /** `$`: the address of the line; `$$`: that of its section. */
  | { readonly is: "here" | "section"; readonly at: Token }
  | { readonly is: "register"; readonly register: number; readonly at: Token }
  | { readonly is: "float"; readonly text: string; readonly at: Token }
  | {
    readonly is: "unary";
    readonly operator: string;
    readonly operand: Expression;
    readonly at: Token;
  }
  | {
    readonly is: "binary";
    readonly operator: string;
    readonly left: Expression;
    readonly right: Expression;
    readonly at: Token;
  }
  | {
    readonly is: "conditional";
    readonly condition: Expression;
    readonly yes: Expression;
    readonly no: Expression;
    readonly at: Token;
  };

/** From the loosest to the tightest. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["^^"],
  ["&&"],
  ["=", "==", "!=", "<>", "<", "<=", ">", ">=", "<=>"],
  ["|"],
  ["^"],
  ["&"],
  ["<<", ">>", "<<<", ">>>"],
  ["+", "-"],
  ["*", "/", "//", "%", "%%"],
];

const LEVEL_OF: ReadonlyMap<string, number> = new Map(
  LEVELS.flatMap((operators, level) => operators.map((o) => [o, level] as const)),
);

/** Deepest nesting of parentheses and unary operators; deeper input is refused before it hurts. */
const MAX_DEPTH = 200;
/** Longest expression: its tree is walked recursively. */
const MAX_OPERATORS = 500;

/** Turns a written name into a full one: `.x` into `parent.x`. */
export type Qualify = (name: string, at: Token) => string;

/** Parses one expression and leaves the cursor behind it. */
export function parseExpression(cursor: Cursor, qualify: Qualify, depth = 0): Expression {
  if (depth === 0) cursor.operators = 0;
  const condition = parseLevel(cursor, qualify, 0, depth);
  const at = cursor.peek();
  if (!at || !cursor.takeOp("?")) return condition;
  if (depth > MAX_DEPTH) cursor.reporter.fail("Expression is nested too deep", at);
  const yes = parseExpression(cursor, qualify, depth + 1);
  cursor.expectOp(":");
  return { is: "conditional", condition, yes, no: parseExpression(cursor, qualify, depth + 1), at };
}

/** Operators of `level` and tighter, by precedence climbing: one call a level that is really there. */
function parseLevel(cursor: Cursor, qualify: Qualify, level: number, depth: number): Expression {
  let left = parseUnary(cursor, qualify, depth);
  for (;;) {
    const at = cursor.peek();
    const found = at && (at.kind === "op") ? LEVEL_OF.get(at.text) : undefined;
    if (at === undefined || found === undefined || found < level) return left;
    cursor.next();
    if (++cursor.operators > MAX_OPERATORS) {
      cursor.reporter.fail(`Expression has more than ${MAX_OPERATORS} operators`, at);
    }
    left = {
      is: "binary",
      operator: at.text,
      left,
      right: parseLevel(cursor, qualify, found + 1, depth + 1),
      at,
    };
  }
}

const UNARY = new Set(["-", "+", "~", "!"]);

function parseUnary(cursor: Cursor, qualify: Qualify, depth: number): Expression {
  const at = cursor.peek();
  if (!at) return cursor.unexpected("an expression");
  if (depth > MAX_DEPTH) cursor.reporter.fail("Expression is nested too deep", at);
  if (at.kind === "op" && UNARY.has(at.text)) {
    cursor.next();
    const operand = parseUnary(cursor, qualify, depth + 1);
    if (operand.is === "value" && at.text === "-" && operand.text === undefined) {
      return { is: "value", value: plain(-operand.value.n), at };
    }
    return { is: "unary", operator: at.text, operand, at };
  }
  return parsePrimary(cursor, qualify, at, depth);
}

function parsePrimary(cursor: Cursor, qualify: Qualify, at: Token, depth: number): Expression {
  switch (at.kind) {
    case "number":
      cursor.next();
      return { is: "value", value: plain(at.value ?? 0n), at };
    case "float":
      cursor.next();
      return { is: "float", text: at.text, at };
    case "string":
      cursor.next();
      return { is: "value", value: stringValue(at.text), at, text: at.text };
    case "word": {
      cursor.next();
      const register = at.escaped ? undefined : registerNamed(at.text);
      if (register !== undefined) return { is: "register", register, at };
      return { is: "symbol", name: qualify(at.text, at), at };
    }
    case "op":
      if (cursor.takeOp("(")) {
        const inner = parseExpression(cursor, qualify, depth + 1);
        cursor.expectOp(")");
        return inner;
      }
      if (cursor.takeOp("$")) return { is: "here", at };
      if (cursor.takeOp("$$")) return { is: "section", at };
      return cursor.unexpected("an expression");
    default:
      return cursor.unexpected("an expression");
  }
}

/** A string as a number: its first eight bytes, the first one lowest (NASM manual, 3.4.3). */
export function stringValue(text: string): Value {
  if (text.length === 0) return ZERO;
  let n = 0n;
  for (let i = Math.min(text.length, 8) - 1; i >= 0; i--) {
    n = n << 8n | BigInt(text.charCodeAt(i) & 0xff);
  }
  return plain(n);
}

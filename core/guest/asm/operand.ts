// Operands as written: registers, immediates, far pointers, memory.
import { Register } from "iced-x86";
import type { Cursor } from "./cursor.ts";
import { type Expression, parseExpression, type Qualify } from "./expression.ts";
import { registerClass, registerNamed, registerSize } from "./isa/registers.ts";
import type { Token } from "./token.ts";

/** Size keywords, in bytes (NASM manual, 3.2 and 3.7). */
export const SIZES: Readonly<Record<string, number>> = {
  byte: 1,
  word: 2,
  dword: 4,
  qword: 8,
  tword: 10,
  oword: 16,
  yword: 32,
};

export function sizeName(bytes: number): string {
  return Object.keys(SIZES).find((name) => SIZES[name] === bytes) ?? `${bytes} bytes`;
}

/** What may be written in front of any operand. */
export interface Modifiers {
  /** Bytes, by a size keyword. */
  readonly size?: number;
  readonly strict: boolean;
  readonly distance?: "short" | "near" | "far";
  /** `to`, of x87 instructions. */
  readonly to: boolean;
}

/** A register in an address, times a factor (one if absent), subtracted if negative. */
export interface AddressTerm {
  readonly register: number;
  readonly factor?: Expression;
  readonly negative: boolean;
  readonly at: Token;
}

export interface MemoryAddress {
  readonly terms: readonly AddressTerm[];
  /** What is left without the registers. */
  readonly displacement: Expression | undefined;
  /** Segment override, or Register.None. */
  readonly segment: number;
  /** Size of the displacement that a keyword in the brackets forces: 1, 2, 4 or 8 bytes. */
  readonly displacementSize: number | undefined;
  /** Relative to RIP? Undefined: as `default` says. */
  readonly relative: boolean | undefined;
  readonly nosplit: boolean;
}

export type Operand =
  & { readonly modifiers: Modifiers; readonly first: Token; readonly last: Token }
  & (
    | { readonly is: "register"; readonly register: number }
    | { readonly is: "immediate"; readonly value: Expression }
    | { readonly is: "far"; readonly selector: Expression; readonly offset: Expression }
    | { readonly is: "memory"; readonly address: MemoryAddress }
  );

/** Parses one operand and leaves the cursor behind it. */
export function parseOperand(cursor: Cursor, qualify: Qualify): Operand {
  const first = cursor.peek() ?? cursor.unexpected("an operand");
  const modifiers = parseModifiers(cursor);
  const start = cursor.peek() ?? cursor.unexpected("an operand");
  if (cursor.takeOp("[")) {
    const address = parseAddress(cursor, qualify);
    return { is: "memory", address, modifiers, first, last: cursor.last() };
  }
  const register = registerOperand(cursor, start);
  if (register !== undefined) {
    return { is: "register", register, modifiers, first, last: cursor.last() };
  }
  const value = parseExpression(cursor, qualify);
  if (cursor.takeOp(":")) {
    const offset = parseExpression(cursor, qualify);
    return { is: "far", selector: value, offset, modifiers, first, last: cursor.last() };
  }
  return { is: "immediate", value, modifiers, first, last: cursor.last() };
}

/** A register that is a whole operand, as opposed to the start of a (wrong) expression. */
function registerOperand(cursor: Cursor, start: Token): number | undefined {
  if (start.kind !== "word" || start.escaped) return undefined;
  const register = registerNamed(start.text);
  if (register === undefined) return undefined;
  const after = cursor.peek(1);
  if (after !== undefined && !(after.kind === "op" && after.text === ",")) return undefined;
  cursor.next();
  return register;
}

function parseModifiers(cursor: Cursor): Modifiers {
  let size: number | undefined;
  let distance: Modifiers["distance"];
  let strict = false;
  let to = false;
  for (;;) {
    const word = cursor.wordAhead();
    if (word === undefined) break;
    const bytes = Object.hasOwn(SIZES, word) ? SIZES[word] : undefined;
    if (bytes !== undefined) size = bytes;
    else if (word === "short" || word === "near" || word === "far") distance = word;
    else if (word === "strict") strict = true;
    else if (word === "to") to = true;
    // MASM's `dword ptr`: a NASM user may well have it in the fingers.
    else if (word === "ptr" && size !== undefined) {
      cursor.reporter.fail(
        'NASM syntax has no "ptr"',
        cursor.peek() ?? cursor.last(),
        "Leave it out",
      );
    } else break;
    cursor.next();
  }
  return {
    strict,
    to,
    ...(size === undefined ? {} : { size }),
    ...(distance === undefined ? {} : { distance }),
  };
}

function parseAddress(cursor: Cursor, qualify: Qualify): MemoryAddress {
  let displacementSize: number | undefined;
  let relative: boolean | undefined;
  let nosplit = false;
  let segment: number = Register.None;
  for (;;) {
    const word = cursor.wordAhead();
    if (word === undefined) break;
    if (Object.hasOwn(SIZES, word)) displacementSize = SIZES[word];
    else if (word === "rel") relative = true;
    else if (word === "abs") relative = false;
    else if (word === "nosplit") nosplit = true;
    else {
      const register = cursor.isOp(":", 1) ? registerNamed(word) : undefined;
      if (register === undefined) break;
      if (registerClass(register) !== "segment") {
        cursor.reporter.fail(`"${word}" is not a segment register`, cursor.peek() ?? cursor.last());
      }
      segment = register;
      cursor.next();
    }
    cursor.next();
  }
  const terms: AddressTerm[] = [];
  const displacement = linear(parseExpression(cursor, qualify), false, terms, cursor);
  cursor.expectOp("]");
  return { terms, displacement, segment, displacementSize, relative, nosplit };
}

/** Moves the registers of an address out of its expression, and answers what is left of that. */
function linear(
  expression: Expression,
  negative: boolean,
  terms: AddressTerm[],
  cursor: Cursor,
): Expression | undefined {
  if (expression.is === "register") {
    terms.push({ register: expression.register, negative, at: expression.at });
    return undefined;
  }
  if (expression.is === "unary" && hasRegister(expression.operand)) {
    const { operator, operand } = expression;
    if (operator === "+") return linear(operand, negative, terms, cursor);
    if (operator === "-") return linear(operand, !negative, terms, cursor);
  }
  if (expression.is === "binary" && hasRegister(expression)) {
    const { operator, left, right } = expression;
    if (operator === "+" || operator === "-") {
      const flip = operator === "-" ? !negative : negative;
      const a = linear(left, negative, terms, cursor);
      const b = linear(right, flip, terms, cursor);
      if (a === undefined || b === undefined) return a ?? b;
      return { is: "binary", operator: "+", left: a, right: b, at: expression.at };
    }
    if (operator === "*" && (left.is === "register" || right.is === "register")) {
      const [register, factor] = left.is === "register" ? [left, right] : [right, left];
      if (register.is === "register" && !hasRegister(factor)) {
        terms.push({ register: register.register, factor, negative, at: register.at });
        return undefined;
      }
    }
  }
  if (hasRegister(expression)) {
    cursor.reporter.fail(
      "An address is a sum: registers can only be added, and multiplied by a constant",
      expression.at,
    );
  }
  // A sum subtracted as a whole: `-(a - b)`.
  return negative
    ? { is: "unary", operator: "-", operand: expression, at: expression.at }
    : expression;
}

function hasRegister(expression: Expression): boolean {
  switch (expression.is) {
    case "register":
      return true;
    case "unary":
      return hasRegister(expression.operand);
    case "binary":
      return hasRegister(expression.left) || hasRegister(expression.right);
    case "conditional":
      return hasRegister(expression.condition) || hasRegister(expression.yes) ||
        hasRegister(expression.no);
    default:
      return false;
  }
}

/** How a diagnostic names an operand: `bl (byte)`, `memory (dword)`, `immediate`. */
export function describeOperand(operand: Operand): string {
  const size = operand.modifiers.size;
  const named = (what: string, bytes: number | undefined) =>
    bytes ? `${what} (${sizeName(bytes)})` : what;
  switch (operand.is) {
    case "register":
      return registerClass(operand.register).startsWith("gpr")
        ? named(operand.first.text, registerSize(operand.register))
        : operand.first.text;
    case "immediate":
      return named("immediate", size);
    case "far":
      return "far pointer";
    case "memory":
      return named("memory", size);
  }
}

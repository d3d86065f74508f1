// Reads values and what they are matched with. Structure has been checked and parameters are in, so a node of an
// unexpected kind can only follow a diagnostic: any value will do for it.
import type { Located, ValueMatcher } from "../case.ts";
import type { Findings } from "../findings.ts";
import { integerOf, itemsOf, type Node, textOf, valueOf } from "../yaml/node.ts";

/** Matches anything. */
export const ANY: ValueMatcher = { is: "any" };

/** Reads an integer, a text, a truth value, a range, `one-of`, `not`, `any` or `$name`. */
export function readValue(node: Node, findings: Findings): ValueMatcher {
  switch (node.kind) {
    case "scalar":
      return literal(node);
    case "list":
      return ANY;
    case "map":
      return readCondition(node, findings);
  }
}

/** The same, with its place. */
export function locatedValue(node: Node, findings: Findings): Located<ValueMatcher> {
  return { value: readValue(node, findings), span: node.span };
}

function literal(node: Node): ValueMatcher {
  const value = node.kind === "scalar" ? node.value : null;
  if (value === null || typeof value === "number" || value === "any") return ANY;
  const name = typeof value === "string"
    ? /^\$([A-Za-z_][A-Za-z0-9_]*)$/.exec(value)?.[1]
    : undefined;
  return name === undefined ? { is: "literal", value } : { is: "bound", name };
}

/** The map form. Its keys exclude each other, but for the two ends of a range. */
function readCondition(node: Node, findings: Findings): ValueMatcher {
  const found: ValueMatcher[] = [];
  const oneOf = valueOf(node, "one-of");
  if (oneOf) found.push({ is: "one-of", values: itemsOf(oneOf).map(literal) });
  const not = valueOf(node, "not");
  if (not) found.push({ is: "not", matcher: readValue(not, findings) });
  const range = readRange(node, findings);
  if (range) found.push(range);
  const [first, second] = found;
  if (second) {
    findings.error(
      node.span,
      "A value is matched in one way only: by a range, by `one-of` or by `not`",
      "Keep one of them",
    );
  }
  return first ?? ANY;
}

function readRange(node: Node, findings: Findings): ValueMatcher | undefined {
  const between = valueOf(node, "between");
  const ends = between
    ? itemsOf(between).map(integerOf)
    : [integerOf(valueOf(node, "at-least")), integerOf(valueOf(node, "at-most"))];
  if (between && (valueOf(node, "at-least") ?? valueOf(node, "at-most"))) {
    findings.error(
      node.span,
      "`between` is both ends of the range",
      "Remove `at-least` and `at-most`",
    );
  }
  const [atLeast, atMost] = ends;
  if (atLeast === undefined && atMost === undefined) return undefined;
  if (atLeast !== undefined && atMost !== undefined && atLeast > atMost) {
    findings.error(
      node.span,
      `No value is at least ${atLeast} and at most ${atMost}`,
      "Write the smaller number first",
    );
  }
  return {
    is: "range",
    ...(atLeast === undefined ? {} : { atLeast }),
    ...(atMost === undefined ? {} : { atMost }),
  };
}

/** Negative literals of a matcher as the unsigned number of `bits` bits that has the same representation. */
export function unsigned(matcher: ValueMatcher, bits: number): ValueMatcher {
  switch (matcher.is) {
    case "literal":
      return typeof matcher.value === "bigint" && matcher.value < 0n
        ? { is: "literal", value: BigInt.asUintN(bits, matcher.value) }
        : matcher;
    case "one-of":
      return { is: "one-of", values: matcher.values.map((value) => unsigned(value, bits)) };
    case "not":
      return { is: "not", matcher: unsigned(matcher.matcher, bits) };
    case "range":
    case "any":
    case "bound":
      return matcher;
  }
}

/** Is a literal of the matcher below zero? */
export function isNegative(matcher: ValueMatcher): boolean {
  switch (matcher.is) {
    case "literal":
      return typeof matcher.value === "bigint" && matcher.value < 0n;
    case "one-of":
      return matcher.values.some(isNegative);
    case "not":
      return isNegative(matcher.matcher);
    case "range":
    case "any":
    case "bound":
      return false;
  }
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  bytes: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** Bytes: an integer, or a text such as `2 MiB`. At most 2^53. */
export function readSize(node: Node | undefined): number | undefined {
  const bytes = integerOf(node);
  if (bytes !== undefined) return clamp(bytes);
  const [, digits, unit] = /^([0-9]+) ?(\w+)$/.exec(textOf(node) ?? "") ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return clamp(digits) * (SIZE_UNITS[unit] ?? 1);
}

const NANOSECONDS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** Nanoseconds, from a text such as `5 ms`. */
export function readDuration(node: Node | undefined): number | undefined {
  const [, digits, unit] = /^([0-9]+) ?(\w+)$/.exec(textOf(node) ?? "") ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return clamp(digits) * (NANOSECONDS[unit] ?? 1);
}

/** An integer as a number, the nearest that is exact. */
export function clamp(value: bigint | string): number {
  const number = Number(value);
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, number));
}

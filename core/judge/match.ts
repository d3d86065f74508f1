// Matches single values and byte strings against what a scenario expects of them, and says both in words.
import { hex, hexBytes } from "../base/hex.ts";
import type { BytesMatcher, ValueMatcher } from "../scenario/case.ts";
import { textPattern } from "../scenario/pattern/text_pattern.ts";

/** What an event field or a register can hold. */
export type Value = bigint | string | boolean;

/** Values of bound names (`$name`), for one case. */
export type Bindings = Map<string, Value>;

/** A field as it stands in a trace, as a `Value`: numbers are compared as integers of any size. */
export function toValue(raw: unknown): Value | undefined {
  if (typeof raw === "number") return Number.isSafeInteger(raw) ? BigInt(raw) : undefined;
  return typeof raw === "bigint" || typeof raw === "string" || typeof raw === "boolean"
    ? raw
    : undefined;
}

/** Equal as values; integers modulo 2^64, so that -1 and 0xffffffffffffffff are the same register. */
export function sameValue(a: Value, b: Value): boolean {
  if (typeof a === "bigint" && typeof b === "bigint") {
    return BigInt.asUintN(64, a) === BigInt.asUintN(64, b);
  }
  return a === b;
}

/**
 * Does the value match? A name that is not bound yet is bound in `bindings` by matching, so pass a copy where a match is
 * only tried. An absent value (a field that this event lacks) matches `any` and `not` alone.
 */
export function matchValue(
  matcher: ValueMatcher,
  value: Value | undefined,
  bindings: Bindings,
): boolean {
  switch (matcher.is) {
    case "any":
      return true;
    case "literal":
      return value !== undefined && sameValue(matcher.value, value);
    case "range":
      return typeof value === "bigint" &&
        (matcher.atLeast === undefined || value >= matcher.atLeast) &&
        (matcher.atMost === undefined || value <= matcher.atMost);
    case "one-of":
      return matcher.values.some((m) => matchValue(m, value, bindings));
    case "not":
      return !matchValue(matcher.matcher, value, new Map(bindings));
    case "bound": {
      if (value === undefined) return false;
      const bound = bindings.get(matcher.name);
      if (bound !== undefined) return sameValue(bound, value);
      bindings.set(matcher.name, value);
      return true;
    }
    default:
      return matcher satisfies never;
  }
}

/** Does the matcher use a bound name? */
export function usesBinding(matcher: ValueMatcher): boolean {
  switch (matcher.is) {
    case "bound":
      return true;
    case "one-of":
      return matcher.values.some(usesBinding);
    case "not":
      return usesBinding(matcher.matcher);
    default:
      return false;
  }
}

/** Longest input, in bytes, that `matches` is tried on: longer input never matches. Time is input times pattern. */
export const MAX_PATTERN_INPUT = 1 << 18;

/** Do the bytes match? Text patterns see the bytes as UTF-8, or as Latin-1 where that is not valid. */
export function matchBytes(matcher: BytesMatcher, bytes: Uint8Array, bindings: Bindings): boolean {
  switch (matcher.is) {
    case "any":
      return true;
    case "equal":
      return bytes.length === matcher.bytes.length && startsWith(bytes, matcher.bytes);
    case "starts-with":
      return startsWith(bytes, matcher.bytes);
    case "contains":
      return indexOfBytes(bytes, matcher.bytes) !== -1;
    case "matches":
      return bytes.length <= MAX_PATTERN_INPUT &&
        textPattern(matcher.pattern).test(bytesText(bytes));
    case "length":
      return matchValue(matcher.length, BigInt(bytes.length), bindings);
    case "integer":
      return matchValue(matcher.value, littleEndian(bytes), bindings);
    case "all-of":
      return matcher.matchers.every((m) => matchBytes(m, bytes, bindings));
    case "not":
      return !matchBytes(matcher.matcher, bytes, new Map(bindings));
    default:
      return matcher satisfies never;
  }
}

/** The unsigned integer that the bytes are in little-endian order. */
export function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = value << 8n | BigInt(bytes[i] ?? 0);
  return value;
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array, from = 0): boolean {
  if (from + prefix.length > bytes.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[from + i] !== prefix[i]) return false;
  return true;
}

/** Knuth, Morris and Pratt: console and needle are both in a scenario's hand, so the time must be linear. */
function indexOfBytes(bytes: Uint8Array, wanted: Uint8Array): number {
  if (wanted.length === 0) return 0;
  const border = new Int32Array(wanted.length);
  for (let i = 1, length = 0; i < wanted.length; i++) {
    while (length > 0 && wanted[i] !== wanted[length]) length = border[length - 1] ?? 0;
    if (wanted[i] === wanted[length]) length++;
    border[i] = length;
  }
  for (let i = 0, length = 0; i < bytes.length; i++) {
    while (length > 0 && bytes[i] !== wanted[length]) length = border[length - 1] ?? 0;
    if (bytes[i] === wanted[length]) length++;
    if (length === wanted.length) return i - length + 1;
  }
  return -1;
}

/** Bytes as text: UTF-8 where they are that, else Latin-1. */
export function bytesText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return Array.from(bytes, (b) => String.fromCharCode(b)).join("");
  }
}

/** Bytes for a person: quoted text where most of it is printable, else hexadecimal; shortened to about `limit` bytes. */
export function showBytes(bytes: Uint8Array, limit = 32): string {
  const shown = bytes.slice(0, limit);
  const more = bytes.length > limit ? `... (${bytes.length} bytes)` : "";
  const printable = shown.every((b) => (b >= 0x20 && b < 0x7f) || (b >= 9 && b <= 13) || b === 0);
  return printable ? quoted(shown) + more : hexBytes(shown, " ") + more;
}

/** Printable bytes as YAML's double quotes take them, `\0` for a zero. */
function quoted(bytes: Uint8Array): string {
  return JSON.stringify(bytesText(bytes)).replaceAll("\\u0000", "\\0").replaceAll("\\u000b", "\\v");
}

/** How numbers are written; `both`: as `0x4e (78)`, up to a million. */
export type NumberStyle = "hex" | "decimal" | "both";

/** A value for a person. */
export function showValue(value: Value | undefined, style: NumberStyle = "hex"): string {
  if (value === undefined) return "absent";
  if (typeof value !== "bigint") return String(value);
  if (style === "decimal" || (value >= 0n && value < 10n)) return String(value);
  return style === "both" && value >= 0n && value < 1_000_000n
    ? `${hex(value)} (${value})`
    : hex(value);
}

/** A value matcher in words: `0x3f8`, `at least 6`, `$frame`, or `$frame (0x5000)` where it is bound in `bindings`. */
export function describeValueMatcher(
  matcher: ValueMatcher,
  style: NumberStyle = "hex",
  bindings?: Bindings,
): string {
  switch (matcher.is) {
    case "any":
      return "anything";
    case "literal":
      return showValue(matcher.value, style);
    case "range": {
      const { atLeast, atMost } = matcher;
      if (atLeast !== undefined && atMost !== undefined) {
        return `${showValue(atLeast, style)} to ${showValue(atMost, style)}`;
      }
      if (atLeast !== undefined) return `at least ${showValue(atLeast, style)}`;
      return atMost === undefined ? "any number" : `at most ${showValue(atMost, style)}`;
    }
    case "one-of":
      return matcher.values.map((m) => describeValueMatcher(m, style, bindings)).join(" or ");
    case "not":
      return `not ${describeValueMatcher(matcher.matcher, style, bindings)}`;
    case "bound": {
      const bound = bindings?.get(matcher.name);
      const shown = bound === undefined
        ? ""
        : ` (${showValue(bound, style === "both" ? "hex" : style)})`;
      return `$${matcher.name}${shown}`;
    }
    default:
      return matcher satisfies never;
  }
}

/** A bytes matcher in words. */
export function describeBytesMatcher(matcher: BytesMatcher): string {
  switch (matcher.is) {
    case "any":
      return "anything";
    case "equal":
      return showBytes(matcher.bytes);
    case "starts-with":
      return `starts with ${showBytes(matcher.bytes)}`;
    case "contains":
      return `contains ${showBytes(matcher.bytes)}`;
    case "matches":
      return `matches /${matcher.pattern}/`;
    case "length":
      return `${describeValueMatcher(matcher.length, "decimal")} bytes`;
    case "integer":
      return describeValueMatcher(matcher.value, "both");
    case "all-of":
      return matcher.matchers.map(describeBytesMatcher).join(" and ");
    case "not":
      return `not: ${describeBytesMatcher(matcher.matcher)}`;
    default:
      return matcher satisfies never;
  }
}

// Reads what the console, or memory at a label, is matched with. Text in memory means the first bytes there, because memory
// goes on after them; the console ends where it ends.
import type { BytesMatcher, Located } from "../case.ts";
import { fromHexBytes } from "../../base/hex.ts";
import { bytesOfText } from "../bytes.ts";
import type { Findings } from "../findings.ts";
import { entriesOf, type Entry, type Node, textOf, valueOf } from "../yaml/node.ts";
import { patternFault } from "../text_pattern.ts";
import { readValue, unsigned } from "./values.ts";

/** Bytes of an integer in memory whose size nobody states. */
export const DEFAULT_INTEGER_SIZE = 8;

/** The keys of the map form that stand for an integer. */
const INTEGER_KEYS = ["at-least", "at-most", "between", "one-of"];

/** Reads an expectation on the console. */
export function readConsole(node: Node, findings: Findings): Located<BytesMatcher> {
  return {
    value: new BytesReader("equal", DEFAULT_INTEGER_SIZE, findings).read(node),
    span: node.span,
  };
}

/** Reads an expectation on memory. `size`: bytes of an integer there. */
export function readMemory(node: Node, size: number, findings: Findings): Located<BytesMatcher> {
  return { value: new BytesReader("starts-with", size, findings).read(node), span: node.span };
}

class BytesReader {
  constructor(
    readonly plainText: "equal" | "starts-with",
    readonly integerSize: number,
    readonly findings: Findings,
  ) {}

  read(node: Node): BytesMatcher {
    if (node.kind === "map") return this.#map(node);
    if (node.kind === "list") return { is: "any" };
    if (node.style === "plain" && node.value === "any") return { is: "any" };
    return typeof node.value === "string"
      ? this.#all(bytesOfText(node.value))
      : this.#integer(node);
  }

  #all(bytes: Uint8Array): BytesMatcher {
    return { is: this.plainText, bytes };
  }

  #integer(node: Node): BytesMatcher {
    const value = readValue(node, this.findings);
    return { is: "integer", value: unsigned(value, this.integerSize * 8) };
  }

  #map(node: Node): BytesMatcher {
    const matchers = entriesOf(node).flatMap((entry) => this.#entry(entry) ?? []);
    if (INTEGER_KEYS.some((key) => valueOf(node, key))) {
      // `not: 5` beside a range is for `readValue` to refuse.
      const text = entriesOf(node).find(({ key }) => !INTEGER_KEYS.includes(key) && key !== "not");
      if (text) {
        this.findings.error(
          text.keySpan,
          "An integer is matched here, and bytes too",
          "Keep one of them",
        );
      }
      return this.#integer(node);
    }
    const [first] = matchers;
    return first && matchers.length === 1 ? first : { is: "all-of", matchers };
  }

  #entry({ key, value }: Entry): BytesMatcher | undefined {
    const text = textOf(value) ?? "";
    switch (key) {
      case "is":
        return this.#all(bytesOfText(text));
      case "starts-with":
      case "contains":
        return { is: key, bytes: bytesOfText(text) };
      case "bytes":
        return this.#all(fromHexBytes(text));
      case "matches": {
        const fault = patternFault(text);
        if (fault) this.findings.error(value.span, fault.message, fault.suggestion);
        return { is: "matches", pattern: text };
      }
      case "length":
        return { is: "length", length: readValue(value, this.findings) };
      case "not":
        return { is: "not", matcher: this.read(value) };
      default:
        return undefined;
    }
  }
}

/**
 * How many bytes of memory a matcher looks at; undefined if it could look at any number of them. Integers are of
 * `integerSize` bytes.
 */
export function bytesNeeded(matcher: BytesMatcher, integerSize: number): number | undefined {
  switch (matcher.is) {
    case "equal":
    case "starts-with":
      return matcher.bytes.length;
    case "integer":
      return integerSize;
    case "not":
      return bytesNeeded(matcher.matcher, integerSize);
    case "all-of": {
      const needs = matcher.matchers.map((part) => bytesNeeded(part, integerSize));
      return needs.reduce(
        (most, need) => most === undefined || need === undefined ? undefined : Math.max(most, need),
        0,
      );
    }
    case "any":
      return 0;
    case "contains":
    case "matches":
    case "length":
      return undefined;
  }
}

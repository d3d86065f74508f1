// Reads what the console, or memory at a label, is matched with. Text in memory means the first bytes there, because memory
// goes on after them; the console ends where it ends.
import type { BytesMatcher, Located } from "../case.ts";
import { bytesOfHex, bytesOfText } from "../bytes.ts";
import type { Findings } from "../findings.ts";
import { entriesOf, type Entry, type Node, textOf, valueOf } from "../yaml/node.ts";
import { patternFault } from "../pattern/text_pattern.ts";
import { isNegative, readValue, unsigned } from "./values.ts";

/** The keys of the map form that stand for an integer. */
const INTEGER_KEYS = ["at-least", "at-most", "between", "one-of"];

/** Reads an expectation on the console. */
export function readConsole(node: Node, findings: Findings): Located<BytesMatcher> {
  return { value: new BytesReader("equal", undefined, findings).read(node), span: node.span };
}

/** Reads an expectation on memory. `size`: how many bytes are observed there; undefined if the scenario doesn't say. */
export function readMemory(
  node: Node,
  size: number | undefined,
  findings: Findings,
): Located<BytesMatcher> {
  return { value: new BytesReader("starts-with", size, findings).read(node), span: node.span };
}

class BytesReader {
  constructor(
    readonly plainText: "equal" | "starts-with",
    readonly size: number | undefined,
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
    const { size } = this;
    if (size === undefined && isNegative(value)) {
      this.findings.error(
        node.span,
        "How many bytes the negative integer has is not stated",
        "Add the label and its size to `observe`, or write the unsigned integer",
      );
    }
    return { is: "integer", value: unsigned(value, (size ?? 8) * 8) };
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
        return this.#all(bytesOfHex(text));
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

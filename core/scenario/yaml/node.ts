// A YAML document as the scenario reader wants it: plain values, each with its place in the text.
import type { Span } from "../../base/source.ts";

export type Scalar = bigint | number | string | boolean | null;

/** How a scalar was written. */
export type ScalarStyle = "plain" | "single" | "double" | "literal" | "folded";

export interface ScalarNode {
  readonly kind: "scalar";
  /** Integers are bigints, other numbers are numbers; nothing at all is null. Bytes `\x80` to `\xff`: see `bytes.ts`. */
  readonly value: Scalar;
  readonly style: ScalarStyle;
  readonly span: Span;
}

export interface ListNode {
  readonly kind: "list";
  readonly items: readonly Node[];
  readonly span: Span;
}

export interface Entry {
  readonly key: string;
  readonly keySpan: Span;
  readonly value: Node;
}

/** Its keys are unique. */
export interface MapNode {
  readonly kind: "map";
  readonly entries: readonly Entry[];
  readonly span: Span;
}

export type Node = ScalarNode | ListNode | MapNode;

/** The entry of a map with this key; undefined too if `node` is no map. */
export function entryOf(node: Node | undefined, key: string): Entry | undefined {
  return node?.kind === "map" ? node.entries.find((entry) => entry.key === key) : undefined;
}

/** The value that a map has for this key; undefined too if `node` is no map. */
export function valueOf(node: Node | undefined, key: string): Node | undefined {
  return entryOf(node, key)?.value;
}

/** The entries of a map; none if `node` is no map. */
export function entriesOf(node: Node | undefined): readonly Entry[] {
  return node?.kind === "map" ? node.entries : [];
}

/** The items of a list; none if `node` is no list. */
export function itemsOf(node: Node | undefined): readonly Node[] {
  return node?.kind === "list" ? node.items : [];
}

/** The text of a string scalar. */
export function textOf(node: Node | undefined): string | undefined {
  return node?.kind === "scalar" && typeof node.value === "string" ? node.value : undefined;
}

/** The value of an integer scalar. */
export function integerOf(node: Node | undefined): bigint | undefined {
  return node?.kind === "scalar" && typeof node.value === "bigint" ? node.value : undefined;
}

/** What a node is, in the words of a diagnostic. */
export function describeNode(node: Node): string {
  if (node.kind === "list") return "a list";
  if (node.kind === "map") return "a map";
  switch (typeof node.value) {
    case "bigint":
      return `the number ${node.value}`;
    case "number":
      return `the number ${node.value}`;
    case "boolean":
      return `\`${node.value}\``;
    case "string":
      return node.value.length <= 40 && !node.value.includes("\n") ? `"${node.value}"` : "text";
    default:
      return "nothing";
  }
}

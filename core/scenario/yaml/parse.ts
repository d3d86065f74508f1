// YAML text -> node tree with places, or diagnostics in our own words. The only file that knows the `yaml` package, which
// is asked for structure alone: what plain scalars mean is decided in `scalar.ts`.
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, parseDocument } from "yaml";
import type { SourceFile, Span } from "../../base/source.ts";
import { markEscapedBytes } from "../bytes.ts";
import type { Findings } from "../findings.ts";
import { explain, explainCode } from "./errors.ts";
import type { Entry, Node, ScalarNode, ScalarStyle } from "./node.ts";
import { findCutProgram } from "./program_block.ts";
import { resolvePlain } from "./scalar.ts";

/** A scenario longer than this is no scenario. In UTF-16 units. */
export const MAX_TEXT = 1 << 18;

/** Nodes a document may have once its aliases are followed: a guard against "billion laughs". */
const MAX_NODES = 50_000;

/** Levels of nesting; scenarios need about eight. */
const MAX_DEPTH = 32;

/** The tree of a document; undefined if diagnostics were made of it. An empty document is a null scalar. */
export function parseYaml(file: SourceFile, findings: Findings): Node | undefined {
  if (file.text.length > MAX_TEXT) {
    findings.error(
      { file, start: 0, end: 0 },
      `The file is longer than ${MAX_TEXT} characters`,
      "Put large guests into files of their own, and name them with `guest: { file: ... }`",
    );
    return undefined;
  }
  if (findCutProgram(file, findings)) return undefined;
  const document = parseStructure(file.text);
  if (!document) {
    const { message, suggestion } = explainCode("RESOURCE_EXHAUSTION");
    findings.error({ file, start: 0, end: 0 }, message, suggestion);
    return undefined;
  }
  let broken = false;
  for (const error of [...document.errors, ...document.warnings]) {
    const { message, suggestion, local, at } = explain(error, file);
    if (!local && broken) continue;
    broken ||= !local;
    const [start, end] = at === undefined ? error.pos : [at, at + 1];
    findings.error({ file, start, end: Math.max(end, start + 1) }, message, suggestion);
  }
  if (broken) return undefined;
  const place = { file, start: 0, end: Math.min(1, file.text.length) };
  const builder = new TreeBuilder(file, findings);
  const tree = builder.build(document.contents, place, 0);
  return builder.incomplete ? undefined : tree;
}

/** What the parser makes of the text; undefined if it is nested so deep that the parser, which recurses, gives up. */
function parseStructure(text: string): Document.Parsed | undefined {
  try {
    return parseDocument(text, {
      // No schema: every scalar comes as the text it was written as.
      schema: "failsafe",
      uniqueKeys: false,
      prettyErrors: false,
    });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

class TreeBuilder {
  readonly #anchors = new Map<string, Node>();
  readonly #sizes = new Map<Node, number>();
  #nodes = 0;
  /** Is something missing from the tree, because of its size or of an unknown anchor? */
  incomplete = false;

  constructor(readonly file: SourceFile, readonly findings: Findings) {}

  /** `place` is where to point when the node has no place of its own. */
  build(source: unknown, place: Span, depth: number): Node {
    const before = this.#nodes++;
    const nothing: ScalarNode = { kind: "scalar", value: null, style: "plain", span: place };
    if (depth > MAX_DEPTH || this.#nodes > MAX_NODES) {
      this.incomplete = true;
      this.findings.error(
        place,
        depth > MAX_DEPTH
          ? "The document is nested too deeply"
          : "The document has too many values",
        depth > MAX_DEPTH ? "Remove levels of nesting" : "Aliases count as what they stand for",
      );
      return nothing;
    }
    const span = spanOf(source, this.file) ?? place;
    let node: Node;
    if (isAlias(source)) {
      const target = this.#anchors.get(source.source);
      if (!target) {
        this.incomplete = true;
        this.findings.error(
          span,
          `No value before this one has the anchor &${source.source}`,
          "Quote text that begins with *",
        );
        return { ...nothing, span };
      }
      this.#nodes += this.#sizes.get(target) ?? 0;
      return target;
    } else if (isMap(source)) {
      node = { kind: "map", entries: this.#entries(source.items, span, depth), span };
    } else if (isSeq(source)) {
      const items = source.items.map((item) => this.build(item, span, depth + 1));
      node = { kind: "list", items, span };
    } else if (isScalar(source)) {
      node = this.#scalar(source.value, source.source, source.type, span);
    } else {
      node = { ...nothing, span };
    }
    if (hasAnchor(source)) this.#anchors.set(source.anchor, node);
    this.#sizes.set(node, this.#nodes - before);
    return node;
  }

  #entries(items: readonly unknown[], place: Span, depth: number): Entry[] {
    const keys = new Set<string>();
    const entries: Entry[] = [];
    for (const item of items) {
      if (!isPair(item)) continue;
      const keySpan = spanOf(item.key, this.file) ?? place;
      if (!isScalar(item.key) || typeof item.key.value !== "string") {
        const { message, suggestion } = explainCode("NON_STRING_KEY");
        this.findings.error(keySpan, message, suggestion);
        continue;
      }
      const key = item.key.value;
      if (keys.has(key)) {
        this.findings.error(
          keySpan,
          `The key "${key}" is there twice`,
          "Remove one, or merge them",
        );
        continue;
      }
      keys.add(key);
      entries.push({ key, keySpan, value: this.build(item.value, keySpan, depth + 1) });
    }
    return entries;
  }

  #scalar(
    value: unknown,
    source: string | undefined,
    type: string | undefined,
    span: Span,
  ): ScalarNode {
    const style = STYLES[type ?? "PLAIN"] ?? "plain";
    const text = typeof value === "string" ? value : "";
    if (style === "plain") {
      const { value, trap } = resolvePlain(source ?? text);
      if (trap) this.findings.error(span, trap.message, trap.suggestion);
      return { kind: "scalar", value, style, span };
    }
    const marked = style === "double"
      ? markEscapedBytes(text, this.file.text.slice(span.start, span.end))
      : text;
    return { kind: "scalar", value: marked, style, span };
  }
}

const STYLES: Readonly<Record<string, ScalarStyle>> = {
  PLAIN: "plain",
  QUOTE_SINGLE: "single",
  QUOTE_DOUBLE: "double",
  BLOCK_LITERAL: "literal",
  BLOCK_FOLDED: "folded",
};

function hasAnchor(source: unknown): source is { readonly anchor: string } {
  return typeof source === "object" && source !== null && "anchor" in source &&
    typeof source.anchor === "string";
}

/** Where a node of the parser stands, without the white space after it; undefined if it has no place. */
function spanOf(source: unknown, file: SourceFile): Span | undefined {
  if (!isScalar(source) && !isMap(source) && !isSeq(source) && !isAlias(source)) return undefined;
  if (!source.range) return undefined;
  const [start, end] = source.range;
  const trimmed = file.text.slice(start, end).trimEnd().length;
  return { file, start, end: start + trimmed };
}

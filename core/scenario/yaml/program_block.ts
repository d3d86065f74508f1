// The program of a guest stands in a YAML literal block, whose indentation is that of its first line. This file knows where
// the lines of a block are, and recognizes a program that YAML cuts short because its first line is indented too deep.
import type { SourceFile, Span } from "../../base/source.ts";
import type { Findings } from "../findings.ts";
import { explainCode } from "./errors.ts";
import type { Entry, ScalarNode } from "./node.ts";

interface Line {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** The lines of a text from an offset on; line ends are no part of them. */
function* linesFrom(file: SourceFile, offset: number): Generator<Line> {
  for (let start = offset; start <= file.text.length;) {
    const newline = file.text.indexOf("\n", start);
    const next = newline === -1 ? file.text.length : newline;
    const text = file.text.slice(start, next).replace(/\r$/, "");
    yield { start, end: start + text.length, text };
    start = next + 1;
  }
}

/** The first line, from an offset on, that is not blank. */
function firstFilled(file: SourceFile, offset: number): string {
  for (const { text } of linesFrom(file, offset)) if (text.trim() !== "") return text;
  return "";
}

/** Only spaces indent YAML; a tab is content. */
const indentation = (text: string) => text.search(/[^ ]|$/);

/**
 * The place of every line of a scalar's value, one-based line `n` at index `n - 1`. Lines of a literal block are told
 * apart; of any other scalar the whole is all that is known.
 */
export function lineSpans(node: ScalarNode): readonly Span[] {
  const { file, start, end } = node.span;
  const count = typeof node.value === "string" ? node.value.split("\n").length : 1;
  const header = file.text.indexOf("\n", start);
  if (node.style !== "literal" || header === -1) {
    return Array.from({ length: count }, () => node.span);
  }
  const explicit = /^[|>][-+]?([1-9])/.exec(file.text.slice(start, header))?.[1];
  const first = firstFilled(file, header + 1);
  const indent = explicit === undefined ? indentation(first) : blockIndent(node, first);
  const spans: Span[] = [];
  for (const line of linesFrom(file, header + 1)) {
    if (spans.length === count || line.start > end) break;
    spans.push({ file, start: Math.min(line.start + indent, line.end), end: line.end });
  }
  while (spans.length < count) spans.push({ file, start: end, end });
  return spans;
}

/** Under an explicit indentation indicator, the value's first line tells how much of the indentation is content. */
function blockIndent(node: ScalarNode, firstLine: string): number {
  const value = typeof node.value === "string" ? node.value : "";
  const first = value.split("\n").find((line) => line.trim() !== "") ?? "";
  return indentation(firstLine) - indentation(first);
}

/** Does a program end where this entry of a map ends? What follows may then have been meant as a line of it. */
export function endsWithProgram(entry: Entry | undefined): boolean {
  if (entry?.key === "guest" && entry.value.kind === "map") {
    return endsWithProgram(entry.value.entries.at(-1));
  }
  return entry?.key === "program" && entry.value.kind === "scalar" &&
    entry.value.style === "literal";
}

/** What may follow a block in YAML: a key, an item, a comment, a document's end, a closing bracket. */
const FOLLOWS_BLOCK = /^([^\s:]+[ ]*:([ ]|$)|["'?][^:]*:([ ]|$)|-[ ]|#|---|\.\.\.|[\]}])/;

/**
 * Reports programs of which a later line is indented less than the first one, and that can be nothing but a line of the
 * program: YAML ends the block there. True if one was found; YAML's own view of the document is then of no use.
 */
export function findCutProgram(file: SourceFile, findings: Findings): boolean {
  const header = /^([ ]*)program[ ]*:[ ]*[|>][-+]?[ \t]*(#.*)?\r?$/gm;
  for (const match of file.text.matchAll(header)) {
    const outer = match[1]?.length ?? 0;
    const content = match.index + match[0].length + 1;
    const inner = indentation(firstFilled(file, content));
    if (inner <= outer) continue;
    for (const { text, start, end } of linesFrom(file, content)) {
      const indent = indentation(text);
      const line = text.trim();
      if (line === "" || indent >= inner) continue;
      if (line.startsWith("#") || (indent <= outer && FOLLOWS_BLOCK.test(line))) break;
      if (text[indent] === "\t") {
        const { message, suggestion } = explainCode("TAB_AS_INDENT");
        const tabs = text.slice(indent).search(/[^\t]/);
        findings.error(
          { file, start: start + indent, end: start + indent + tabs },
          message,
          suggestion,
        );
        return true;
      }
      findings.error(
        { file, start: start + indent, end },
        "The program ends here for YAML: this line is indented less than the program's first line",
        "YAML takes a block's indentation from its first line: begin the program with a label, or " +
          `indent this line by ${inner - indent} more`,
      );
      return true;
    }
  }
  return false;
}

// What trivisor tells a person about bad input: what, where, and what to do. Every stage that reads what a user wrote
// reports these; nobody who writes a scenario ever sees a stack trace.
import { closestString } from "@std/text/closest-string";
import { levenshteinDistance } from "@std/text/levenshtein-distance";
import { printable } from "./printable.ts";
import { describeSpan, lineText, positionOf, type Span } from "./source.ts";

/** One finding about the input. */
export interface Diagnostic {
  /** An error keeps the input from being used, a warning does not. */
  readonly severity: "error" | "warning";
  /** A sentence, capitalised, without a full stop. */
  readonly message: string;
  /** Where; absent if it is about no place in particular. */
  readonly span?: Span;
  /** What to write or do instead, as in `Did you mean "console_write"?` */
  readonly suggestion?: string;
}

/** Carries diagnostics up to whoever talks to the user. */
export class DiagnosticError extends Error {
  override readonly name = "DiagnosticError";
  constructor(readonly diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map((d) => renderDiagnostic(d)).join("\n"));
  }
}

/** `Did you mean "x"?` for the nearest candidate, or undefined when none is near. */
export function didYouMean(word: string, candidates: readonly string[]): string | undefined {
  if (candidates.length === 0 || word.length === 0 || word.length > 64) return undefined;
  // Letters in another order are the likeliest slip; by edits alone, "full-wh" is as near to "full-bt" as to "full-hw".
  const letters = (text: string) => [...text].sort().join("");
  const shuffled = candidates.find((c) => letters(c) === letters(word));
  if (shuffled !== undefined) return `Did you mean "${shuffled}"?`;
  const nearest = closestString(word, candidates);
  // With two of its three letters wrong, a word is another word.
  const limit = word.length <= 3 ? 1 : Math.max(2, Math.floor(word.length / 3));
  return levenshteinDistance(word.toLowerCase(), nearest.toLowerCase()) <= limit
    ? `Did you mean "${nearest}"?`
    : undefined;
}

/**
 * The diagnostic with its line and a caret under the place:
 *
 *     broken.yaml:4:10: error: Unknown entry "long46"
 *       4 |   entry: long46
 *         |          ^^^^^^
 *       Did you mean "long64"?
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const file = { name: "a.yaml", text: "entry: long46" };
 * const told = renderDiagnostic({
 *   severity: "error",
 *   message: 'Unknown entry "long46"',
 *   span: { file, start: 7, end: 13 },
 * });
 * assertEquals(told.split("\n")[0], 'a.yaml:1:8: error: Unknown entry "long46"');
 * ```
 */
export function renderDiagnostic(diagnostic: Diagnostic): string {
  const { severity, message, span, suggestion } = diagnostic;
  const told = printable(message);
  const lines = [`${span ? describeSpan(span) + ": " : ""}${severity}: ${told}`];
  if (span) lines.push(...excerpt(span));
  if (suggestion) lines.push(`  ${printable(suggestion)}`);
  return lines.join("\n");
}

/** Characters of a line that are shown: a line may be as long as a file. */
const LONGEST_LINE = 160;
/** Of those, how many before the place at most. */
const BEFORE_PLACE = 100;

/** The line that the span begins in, and the caret. */
function excerpt(span: Span): string[] {
  const { line, column } = positionOf(span.file, span.start);
  const whole = lineText(span.file, line);
  const isLong = whole.length > LONGEST_LINE;
  const from = isLong ? Math.max(0, column - 1 - BEFORE_PLACE) : 0;
  const to = isLong ? from + LONGEST_LINE : whole.length;
  const start = from > 0 ? "…" : "";
  const text = start + printable(whole.slice(from, to)) + (to < whole.length ? "…" : "");
  const at = column - 1 - from + start.length;
  const width = Math.max(1, Math.min(span.end - span.start, text.length - at));
  // Tabs are kept in the padding, so that the caret stands under its character whatever the tab width.
  const padding = text.slice(0, at).replaceAll(/[^\t]/g, " ");
  const gutter = String(line);
  return [
    `  ${gutter} | ${text}`,
    `  ${" ".repeat(gutter.length)} | ${padding}${"^".repeat(width)}`,
  ];
}

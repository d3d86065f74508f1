// Where a piece of text stands. Spans are offsets; lines and columns are worked out when somebody is told.
import { printable } from "./printable.ts";

/** A text that diagnostics can point into: a scenario, or a library source. */
export interface SourceFile {
  /** As the user would name it: a path relative to where trivisor was started, or `lib/virtio.inc`. */
  readonly name: string;
  /** The whole of it. */
  readonly text: string;
}

/** A half-open range of UTF-16 offsets in a file. */
export interface Span {
  /** The text it is in. */
  readonly file: SourceFile;
  /** Of its first character. */
  readonly start: number;
  /** After its last one. */
  readonly end: number;
}

/** One-based line and column. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** The one-based line and column of an offset; offsets outside the text are clamped. */
export function positionOf(file: SourceFile, offset: number): Position {
  const end = Math.max(0, Math.min(offset, file.text.length));
  let line = 1;
  let lineStart = 0;
  for (
    let at = file.text.indexOf("\n");
    at !== -1 && at < end;
    at = file.text.indexOf("\n", at + 1)
  ) {
    line++;
    lineStart = at + 1;
  }
  return { line, column: end - lineStart + 1 };
}

/** The text of a one-based line, without its line end; empty outside the file. */
export function lineText(file: SourceFile, line: number): string {
  let start = 0;
  for (let before = 1; before < line; before++) {
    const end = file.text.indexOf("\n", start);
    if (end === -1) return "";
    start = end + 1;
  }
  const end = file.text.indexOf("\n", start);
  return file.text.slice(start, end === -1 ? undefined : end).replace(/\r$/, "");
}

/** `scenarios/paging/remap.yaml:31:11`, fit for a terminal whatever the file is called. */
export function describeSpan(span: Span): string {
  const { line, column } = positionOf(span.file, span.start);
  return `${printable(span.file.name)}:${line}:${column}`;
}

// Where assembly text comes from: a program in a scenario, or a file.
import type { SourceFile } from "../../base/source.ts";
import type { Program } from "../../scenario/case.ts";
import type { AsmSource } from "./token.ts";

const files = new WeakMap<SourceFile, AsmSource>();

/** A file of assembly text as a source; the same one for the same file, so that it is read once. */
export function sourceOfFile(file: SourceFile): AsmSource {
  const known = files.get(file);
  if (known) return known;
  const starts = lineStarts(file.text);
  const source: AsmSource = {
    text: file.text,
    span(line, startColumn, endColumn) {
      const start = starts[line - 1] ?? file.text.length;
      return { file, start: start + startColumn, end: start + endColumn };
    },
  };
  files.set(file, source);
  return source;
}

/**
 * A scenario's program as a source. Where parameters have been put into a line its columns no longer match the YAML's:
 * what stands before and after the change keeps its place, the change itself maps to what it replaced.
 */
export function sourceOfProgram(program: Program): AsmSource {
  const texts = program.text.split("\n");
  return {
    text: program.text,
    span(line, startColumn, endColumn) {
      const whole = program.lines[line - 1] ?? program.lines[program.lines.length - 1];
      if (!whole) throw new RangeError(`Program has no line ${line}`);
      const before = whole.file.text.slice(whole.start, whole.end);
      const after = texts[line - 1] ?? "";
      const start = whole.start + mapColumn(before, after, startColumn, "start");
      const end = whole.start + mapColumn(before, after, endColumn, "end");
      return { file: whole.file, start, end: Math.max(start, end) };
    },
  };
}

/** The column in `before` of a column of `after`, which is `before` with one stretch replaced. */
function mapColumn(before: string, after: string, column: number, edge: "start" | "end"): number {
  const shorter = Math.min(before.length, after.length);
  let prefix = 0;
  while (prefix < shorter && before[prefix] === after[prefix]) prefix++;
  if (column <= prefix && (column < prefix || edge === "end" || before === after)) return column;
  let suffix = 0;
  while (
    suffix < shorter - prefix &&
    before[before.length - 1 - suffix] === after[after.length - 1 - suffix]
  ) suffix++;
  const fromEnd = after.length - column;
  if (fromEnd <= suffix && fromEnd >= 0) return before.length - fromEnd;
  return edge === "start" ? prefix : before.length - suffix;
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

// The pieces that a line of assembly text falls into, and where in the user's file each of them stands.
import type { Span } from "../../base/source.ts";

/** A text to assemble that knows where its lines come from. */
export interface AsmSource {
  /** The whole of it, lines ended by LF or CRLF. */
  readonly text: string;
  /** Span in the user's file of the columns from `startColumn` (zero-based) to `endColumn` (exclusive) of one-based `line`. */
  span(line: number, startColumn: number, endColumn: number): Span;
}

/** One line of a source. */
export interface LineOrigin {
  readonly source: AsmSource;
  /** One-based. */
  readonly line: number;
}

/**
 * - `word`: a name, register, mnemonic or keyword
 * - `number`, `float`, `string`: literals
 * - `op`: an operator or punctuation
 * - `preproc`: `%define`, `%1`, `%%local`, `%+`, `%{...}`, `%[`: whatever the preprocessor takes
 * - `bad`: a character or literal that means nothing, already worded for the user in `text`
 */
export type TokenKind = "word" | "number" | "float" | "string" | "op" | "preproc" | "bad";

export interface Token {
  readonly kind: TokenKind;
  /** As written; the decoded bytes (one UTF-16 unit a byte) for a string; the message for a bad one. */
  readonly text: string;
  /** Value of a number, not yet wrapped to 64 bits. */
  readonly value?: bigint;
  /** For a word: written with a leading `$`, so never a register or keyword. */
  readonly escaped?: boolean;
  /** White space stands before it. */
  readonly spaced: boolean;
  readonly origin: LineOrigin;
  readonly start: number;
  readonly end: number;
}

/** The tokens of a line, comments gone. */
export interface TokenLine {
  readonly tokens: readonly Token[];
  readonly origin: LineOrigin;
  /** Does any token belong to the preprocessor? */
  readonly preprocessed: boolean;
}

/** The span from the first token to the last; both must come from one line to make a sensible one. */
export function spanOf(first: Token, last: Token = first): Span {
  const { source, line } = first.origin;
  const end = last.origin.source === source && last.origin.line === line ? last.end : first.end;
  return source.span(line, first.start, Math.max(end, first.end));
}

/** The same token, read as something else in the same place. */
export function retold(token: Token, kind: TokenKind, text: string, value?: bigint): Token {
  const { spaced, origin, start, end } = token;
  return value === undefined
    ? { kind, text, spaced, origin, start, end }
    : { kind, text, value, spaced, origin, start, end };
}

// Text to tokens, by NASM's lexical rules (NASM manual, 3.1 and 3.4). Nothing here fails: what makes no sense becomes a
// `bad` token, which whoever comes to it reports.
import { decodeEscapes, utf8 } from "./escapes.ts";
import { parseNumber } from "./number.ts";
import type { AsmSource, LineOrigin, Token, TokenKind, TokenLine } from "./token.ts";

/** Longest line, in UTF-16 units. */
const MAX_LINE = 100_000;
/** Longest name. */
const MAX_NAME = 255;

const BLANK = /[ \t\f\v\r]+/y;
// A lone `?` is an operator (the conditional, or uninitialized data).
const WORD = /(?!\?(?![\w.?$@~#]))[A-Za-z_.?@\u0080-\uffff][\w.?$@~#\u0080-\uffff]*/y;
const ESCAPED_WORD = /\$[A-Za-z_?@.~#][\w.?$@~#]*/y;
const NUMBER =
  /0[xX][\da-fA-F_]*\.[\da-fA-F_]*(?:[pP][+-]?\d+)?|\d[\d_]*\.[\d_]*(?:[eE][+-]?\d+)?|\d[\d_]*[eE][+-]?\d+(?!\w)|\$?\d\w*/y;
const CONTINUATION = /\\[ \t\r]*$/y;
const OPERATOR =
  /<=>|<<<|>>>|<<|>>|<=|>=|<>|==|!=|&&|\|\||\^\^|\/\/|%%|\$\$|[-+*\/%&|^~!=<>?:,()[\]{}$]/y;
/** `%{...}` or `%[`, `%$name`, `%%name`, `%name`, `%1`, `%+1`, `%+`, `%?`, `%??`, `%*name`. */
const PREPROCESSOR =
  /%(?:\{[^{}]*\}|\[|%?[A-Za-z_.?@~#][\w.?$@~#]*|\$+[\w.?@~#]+|[+-]?\d+|\+|\?\??|\*\*?[\w?]+|00)/y;

const lexed = new WeakMap<AsmSource, readonly TokenLine[]>();

/** The lines of a source, read once for each source object. */
export function lexSource(source: AsmSource): readonly TokenLine[] {
  let lines = lexed.get(source);
  if (!lines) lexed.set(source, lines = lexLines(source));
  return lines;
}

/** Tokens of a text that a macro put together, all standing where `at` stands. */
export function lexFragment(text: string, at: Token): Token[] {
  const tokens: Token[] = [];
  lexLine(text, at.origin, tokens);
  return tokens.map((token, i) => ({
    ...token,
    start: at.start,
    end: at.end,
    spaced: i === 0 ? at.spaced : token.spaced,
  }));
}

/** Splits a text into lines of tokens. A line that ends in a backslash goes on in the next one. */
export function lexLines(source: AsmSource): TokenLine[] {
  const lines: TokenLine[] = [];
  const texts = source.text.split("\n");
  for (let at = 0; at < texts.length; at++) {
    const tokens: Token[] = [];
    const origin = { source, line: at + 1 };
    while (lexLine(texts[at] ?? "", { source, line: at + 1 }, tokens) && at + 1 < texts.length) {
      at++;
    }
    if (tokens.length > 0) {
      lines.push({ tokens, origin, preprocessed: tokens.some((t) => t.kind === "preproc") });
    }
  }
  return lines;
}

/** Appends the tokens of one line; tells whether it ends in a backslash. */
function lexLine(text: string, origin: LineOrigin, into: Token[]): boolean {
  let at = 0;
  let spaced = true;
  const end = text.length;
  const match = (pattern: RegExp) => {
    pattern.lastIndex = at;
    return pattern.exec(text)?.[0];
  };
  const push = (kind: TokenKind, length: number, shown: string, value?: bigint) => {
    into.push(
      value === undefined
        ? { kind, text: shown, spaced, origin, start: at, end: at + length }
        : { kind, text: shown, value, spaced, origin, start: at, end: at + length },
    );
    at += length;
    spaced = false;
  };
  if (end > MAX_LINE) {
    push("bad", 1, `Line is longer than ${MAX_LINE} characters`);
    return false;
  }
  while (at < end) {
    const character = text.charAt(at);
    if (character === ";") break;
    const blank = match(BLANK);
    if (blank) {
      at += blank.length;
      spaced = true;
      continue;
    }
    if (character === "\\" && match(CONTINUATION)) return true;
    if (character === '"' || character === "'" || character === "`") {
      pushString(text, at, push);
      continue;
    }
    const word = match(WORD);
    if (word) {
      if (word.length <= MAX_NAME) push("word", word.length, word);
      else push("bad", word.length, `Name is longer than ${MAX_NAME} characters`);
      continue;
    }
    const escaped = match(ESCAPED_WORD);
    if (escaped) {
      const shown = escaped.slice(1);
      const stop = at + escaped.length;
      into.push({ kind: "word", text: shown, escaped: true, spaced, origin, start: at, end: stop });
      at = stop;
      spaced = false;
      continue;
    }
    const number = match(NUMBER);
    if (number) {
      const value = parseNumber(number);
      if (typeof value === "bigint") push("number", number.length, number, value);
      else if (value === "float") push("float", number.length, number.replaceAll("_", ""));
      else push("bad", number.length, `Not a number: ${number}`);
      continue;
    }
    const preprocessor = character === "%" ? match(PREPROCESSOR) : undefined;
    if (preprocessor) {
      push("preproc", preprocessor.length, preprocessor);
      continue;
    }
    const operator = match(OPERATOR);
    if (operator) push("op", operator.length, operator);
    else push("bad", 1, `Unexpected character "${character}"`);
  }
  return false;
}

/** A quoted string: `'` and `"` take everything as it is, a backquote has C's escapes (NASM manual, 3.4.2). */
function pushString(
  text: string,
  at: number,
  push: (kind: TokenKind, length: number, shown: string) => void,
): void {
  const quote = text.charAt(at);
  let end = at + 1;
  while (end < text.length && text.charAt(end) !== quote) {
    end += quote === "`" && text.charAt(end) === "\\" ? 2 : 1;
  }
  if (end >= text.length) {
    push("bad", text.length - at, "String has no end");
    return;
  }
  const body = text.slice(at + 1, end);
  push("string", end + 1 - at, quote === "`" ? decodeEscapes(body) : utf8(body));
}

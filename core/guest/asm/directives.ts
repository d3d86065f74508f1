// NASM's directives (NASM manual, chapter 7), in both spellings: `bits 32` and `[bits 32]`.
import { Cursor } from "./cursor.ts";
import { type Expression, parseExpression } from "./expression.ts";
import { type ParserState, qualifier } from "./parser_state.ts";
import type { Bits, Item } from "./program.ts";
import { suggest } from "./suggest.ts";
import { retold, type Token } from "./token.ts";
import { DIRECTIVES } from "./words.ts";

/** Parses what stands behind a label: handed in by the parser of statements, which needs directives itself. */
export type ParseBody = (
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
) => Item | undefined;

const SECTIONS = [".text", ".data", ".rodata", ".bss"];

/** Parses a directive; those that only change how later lines are read leave no item. */
export function parseDirective(
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
  parseBody: ParseBody,
): Item | undefined {
  const first = cursor.peek() ?? cursor.last();
  const bracketed = cursor.takeOp("[");
  const word = cursor.peek();
  const name = cursor.wordAhead();
  if (!word || name === undefined || !DIRECTIVES.has(name)) {
    return state.reporter.fail(
      `Unknown directive "${word?.text ?? ""}"`,
      word ?? first,
      word && suggest(word.text.toLowerCase(), [...DIRECTIVES]),
    );
  }
  cursor.next();
  const item = parseNamed(name, word, cursor, site, state, parseBody);
  if (bracketed) cursor.expectOp("]");
  cursor.expectEnd();
  return item;
}

function parseNamed(
  name: string,
  first: Token,
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
  parseBody: ParseBody,
): Item | undefined {
  const expression = () => parseExpression(cursor, qualifier(state));
  switch (name) {
    case "bits":
      state.bits = parseBits(expression(), first, state);
      return undefined;
    case "use16":
    case "use32":
    case "use64":
      state.bits = name === "use16" ? 16 : name === "use32" ? 32 : 64;
      return undefined;
    case "default":
      if (cursor.takeWord("rel")) state.defaultRelative = true;
      else if (cursor.takeWord("abs")) state.defaultRelative = false;
      else cursor.unexpected('"rel" or "abs"');
      return undefined;
    case "org":
      return { is: "org", origin: expression(), first, last: cursor.last(), site };
    case "align":
    case "alignb":
      return parseAlign(name, first, cursor, site, state, parseBody);
    case "section":
    case "segment":
      return parseSection(first, cursor, site, state);
    case "global":
    case "cpu":
      // Nothing is linked, and every instruction is there: taken, as most sources have them.
      while (!cursor.done && !cursor.isOp("]")) cursor.next();
      return undefined;
    case "extern":
      return state.reporter.fail(
        "There is no linker: a program is complete in itself",
        first,
        'Put the code into a file and use "%include"',
      );
    default:
      return state.reporter.fail(
        `"${name}" is not supported`,
        first,
        'Write the bytes with "db", or use a disk',
      );
  }
}

function parseBits(value: Expression, at: Token, state: ParserState): Bits {
  const bits = value.is === "value" ? Number(value.value.n) : 0;
  if (bits === 16 || bits === 32 || bits === 64) return bits;
  return state.reporter.fail("Code has 16, 32 or 64 bits", at, 'Write "bits 64"');
}

function parseAlign(
  name: string,
  first: Token,
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
  parseBody: ParseBody,
): Item {
  const to = parseExpression(cursor, qualifier(state));
  let fill: Item | undefined;
  if (cursor.takeOp(",")) fill = parseFill(cursor, site, state, parseBody);
  else if (name === "align") {
    const nop = new Cursor([retold(first, "word", "nop")], state.reporter);
    fill = parseFill(nop, site, state, parseBody);
  }
  return { is: "align", to, fill, first, last: cursor.last(), site };
}

/** The instruction or data that fills up. */
function parseFill(
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
  parseBody: ParseBody,
): Item | undefined {
  const first = cursor.peek() ?? cursor.last();
  const item = parseBody(cursor, site, state);
  if (item?.is === "data" || item?.is === "instruction" || item?.is === "reserve") return item;
  return state.reporter.fail("Padding is an instruction or data, such as db 0", first);
}

function parseSection(
  first: Token,
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
): Item {
  const name = cursor.next();
  if (!name || name.kind !== "word") return cursor.unexpected("the name of a section");
  if (!SECTIONS.includes(name.text)) {
    state.reporter.fail(
      `Section "${name.text}" is not supported`,
      name,
      suggest(name.text, SECTIONS) ?? `There are ${SECTIONS.join(", ")}`,
    );
  }
  let align: Expression | undefined;
  while (!cursor.done && !cursor.isOp("]")) {
    if (cursor.wordAhead() === "align" && cursor.isOp("=", 1)) {
      cursor.at += 2;
      align = parseExpression(cursor, qualifier(state));
    } else if (
      !["progbits", "nobits", "write", "nowrite", "exec", "noexec", "data"].includes(
        cursor.wordAhead() ?? "",
      )
    ) {
      cursor.unexpected('"align=" or the end of the line');
    } else cursor.next();
  }
  return { is: "section", name: name.text, align, first, last: cursor.last(), site };
}

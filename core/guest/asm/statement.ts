// One line of assembly, macros expanded, to items: label, prefixes, mnemonic and operands, or a directive.
import { Register } from "iced-x86";
import { describeSpan } from "../../base/source.ts";
import { Cursor } from "./cursor.ts";
import { parseDirective } from "./directives.ts";
import { evaluate, type Scope } from "./evaluate.ts";
import { type Expression, parseExpression } from "./expression.ts";
import { formsOf, mnemonics } from "./isa/forms.ts";
import { type Operand, parseOperand } from "./operand.ts";
import { type ParserState, qualifier } from "./parser_state.ts";
import {
  areFixed,
  type Bits,
  type DataElement,
  isFixed,
  type Item,
  type Prefixes,
} from "./program.ts";
import { registerClass, registerNamed } from "./isa/registers.ts";
import { abandons, Reporter } from "./reporter.ts";
import { suggest } from "./suggest.ts";
import { spanOf, type Token } from "./token.ts";
import { UNKNOWN } from "./value.ts";
import { DATA_WIDTHS, DIRECTIVES, isKnownWord, isSegment, RESERVE_WIDTHS } from "./words.ts";

/** Parses one line and appends what it stands for. `site` is the macro invocation that brought it, if one did. */
export function parseLine(
  tokens: readonly Token[],
  site: Token | undefined,
  state: ParserState,
): void {
  const cursor = new Cursor(tokens, state.reporter);
  parseLabel(cursor, site, state);
  if (cursor.done) return;
  const item = parseBody(cursor, site, state);
  if (item) state.items.push(item);
}

/** Passes a label, with or without its colon, and an `equ` that belongs to it. */
function parseLabel(cursor: Cursor, site: Token | undefined, state: ParserState): void {
  const first = cursor.peek();
  if (first?.kind !== "word") return;
  const colon = cursor.isOp(":", 1);
  const after = cursor.wordAhead(colon ? 2 : 1);
  if (!colon && !first.escaped && isKnownWord(first.text) && after !== "equ") return;
  if (!first.escaped && registerNamed(first.text) !== undefined) {
    if (colon && registerClass(registerNamed(first.text) ?? 0) === "segment" && cursor.peek(2)) {
      return;
    }
    state.reporter.fail(`"${first.text}" is a register and can't be a label`, first);
  }
  if (!colon && cursor.peek(1) !== undefined && !(after !== undefined && isKnownWord(after))) {
    if (cursor.isOp("=", 1)) {
      state.reporter.fail('Constants are defined with "equ"', first, `Write "${first.text} equ"`);
    }
    unknownMnemonic(first, state);
  }
  const name = qualifier(state)(first.text, first);
  if (after === "equ") {
    cursor.at += colon ? 3 : 2;
    const isNew = define(name, first, state);
    const value = parseExpression(cursor, qualifier(state));
    cursor.expectEnd();
    if (!isNew) return;
    state.items.push({ is: "equ", name, value, first, last: cursor.last(), site });
    noteConstant(name, value, state);
    return;
  }
  if (!colon && cursor.peek(1) === undefined) warnOrphan(first, state);
  cursor.at += colon ? 2 : 1;
  if (!first.text.startsWith(".")) state.parent = first.text;
  if (define(name, first, state)) {
    state.items.push({ is: "label", name, first, last: first, site });
  }
}

/** Keeps the value of a constant that needs no address, so that `%if` can ask for it further down. */
function noteConstant(name: string, value: Expression, state: ParserState): void {
  let known = true;
  const scope: Scope = {
    reporter: new Reporter(),
    here: UNKNOWN,
    section: UNKNOWN,
    lookup(other) {
      const found = state.constants.get(other);
      if (!found) known = false;
      return found ?? UNKNOWN;
    },
  };
  const failed = abandons(() => {
    const result = evaluate(value, scope);
    if (known && !result.unknown) state.constants.set(name, result);
  });
  if (failed) state.constants.delete(name);
}

/** A word alone on its line is a label, but maybe it was not meant as one. */
function warnOrphan(word: Token, { reporter }: ParserState): void {
  const suggestion = suggest(word.text.toLowerCase(), mnemonics());
  if (suggestion) {
    reporter.warning(
      `"${word.text}" alone on its line is taken as a label, as it has no colon`,
      word,
      suggestion,
    );
  }
}

/** Notes a name's definition, and tells whether it is the first. */
function define(name: string, at: Token, state: ParserState): boolean {
  const before = state.defined.get(name);
  if (before) {
    const span = spanOf(before);
    state.reporter.error(
      `"${name}" is already defined`,
      at,
      `The first definition is at ${describeSpan(span)}`,
    );
    return false;
  }
  state.defined.set(name, at);
  return true;
}

function unknownMnemonic(word: Token, { reporter }: ParserState): never {
  const known = [
    ...mnemonics(),
    ...Object.keys(DATA_WIDTHS),
    ...Object.keys(RESERVE_WIDTHS),
    ...DIRECTIVES,
    "times",
  ];
  return reporter.fail(
    `Unknown instruction or directive "${word.text}"`,
    word,
    suggest(word.text.toLowerCase(), known),
  );
}

function parseBody(
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
): Item | undefined {
  const first = cursor.peek();
  if (!first) return cursor.unexpected("an instruction");
  if (first.kind === "op" && first.text === "[") {
    return parseDirective(cursor, site, state, parseBody);
  }
  if (first.kind !== "word" || first.escaped) return cursor.unexpected("an instruction");
  const word = first.text.toLowerCase();
  if (word === "times") {
    cursor.next();
    const count = parseExpression(cursor, qualifier(state));
    if (cursor.wordAhead() === "times") cursor.unexpected("what to repeat");
    const item = parseBody(cursor, site, state);
    if (!item) return undefined;
    return { is: "times", count, item, first, last: item.last, site };
  }
  const width = Object.hasOwn(DATA_WIDTHS, word) ? DATA_WIDTHS[word] : undefined;
  if (width !== undefined) {
    cursor.next();
    const elements = parseData(cursor, state);
    const fixed = elements.every((e) => e.is !== "expression" || isFixed(e.value));
    return { is: "data", width, elements, fixed, first, last: cursor.last(), site };
  }
  const reserved = Object.hasOwn(RESERVE_WIDTHS, word) ? RESERVE_WIDTHS[word] : undefined;
  if (reserved !== undefined) {
    cursor.next();
    const count = parseExpression(cursor, qualifier(state));
    cursor.expectEnd();
    return { is: "reserve", width: reserved, count, first, last: cursor.last(), site };
  }
  if (DIRECTIVES.has(word)) return parseDirective(cursor, site, state, parseBody);
  return parseInstruction(cursor, site, state);
}

function parseData(cursor: Cursor, state: ParserState): DataElement[] {
  const elements: DataElement[] = [];
  do {
    const token = cursor.peek();
    if (!token && elements.length > 0) break;
    const alone = cursor.peek(1) === undefined || cursor.isOp(",", 1);
    if (token?.kind === "string" && alone) {
      cursor.next();
      elements.push({ is: "string", text: token.text });
    } else if (cursor.isOp("?") && alone) {
      cursor.next();
      elements.push({ is: "nothing" });
    } else {
      const sign = cursor.isOp("-") || cursor.isOp("+");
      const float = cursor.peek(sign ? 1 : 0);
      if (float?.kind === "float") {
        const negative = cursor.isOp("-");
        cursor.at += sign ? 2 : 1;
        elements.push({ is: "float", text: float.text, negative, at: float });
      } else {
        elements.push({ is: "expression", value: parseExpression(cursor, qualifier(state)) });
      }
    }
  } while (cursor.takeOp(","));
  cursor.expectEnd();
  return elements;
}

function parseInstruction(
  cursor: Cursor,
  site: Token | undefined,
  state: ParserState,
): Item | undefined {
  const first = cursor.last();
  const start = cursor.peek() ?? first;
  const prefixes = parsePrefixes(cursor, state);
  const mnemonic = cursor.next();
  if (!mnemonic) {
    // A prefix alone on a line is an instruction of no bytes but its own.
    return prefixOnly(start, cursor, site, prefixes, state);
  }
  const forms = mnemonic.kind === "word" ? formsOf(mnemonic.text.toLowerCase()) : undefined;
  if (!forms) {
    if (mnemonic.kind === "bad") state.reporter.fail(mnemonic.text, mnemonic);
    return unknownMnemonic(mnemonic, state);
  }
  const operands: Operand[] = [];
  if (!cursor.done) {
    const qualify = qualifier(state);
    do operands.push(parseOperand(cursor, qualify)); while (cursor.takeOp(","));
    cursor.expectEnd();
  }
  return {
    is: "instruction",
    mnemonic,
    forms,
    prefixes,
    operands,
    bits: state.bits,
    defaultRelative: state.defaultRelative,
    fixed: areFixed(operands) && !forms.some((f) => f.hasNearTwin || f.isBranch),
    first: start,
    last: cursor.last(),
    site,
  };
}

function parsePrefixes(cursor: Cursor, state: ParserState): Prefixes {
  let rep: Prefixes["rep"];
  let lock: Token | undefined;
  let segment: number = Register.None;
  let operandSize: Bits | undefined;
  let addressSize: Bits | undefined;
  for (;;) {
    const at = cursor.peek();
    const word = cursor.wordAhead();
    if (!at || word === undefined) break;
    if (word === "rep" || word === "repe" || word === "repz") rep = "rep";
    else if (word === "repne" || word === "repnz") rep = "repne";
    else if (word === "lock") lock = at;
    else if (word === "a16" || word === "o16") word === "a16" ? addressSize = 16 : operandSize = 16;
    else if (word === "a32" || word === "o32") word === "a32" ? addressSize = 32 : operandSize = 32;
    else if (word === "a64" || word === "o64") word === "a64" ? addressSize = 64 : operandSize = 64;
    else if (isSegment(word)) segment = registerNamed(word) ?? Register.None;
    else break;
    if ((word === "a64" || word === "o64") && state.bits !== 64) {
      state.reporter.fail(`"${word}" has a meaning in 64-bit code only`, at);
    }
    cursor.next();
  }
  return { rep, lock, segment, operandSize, addressSize };
}

function prefixOnly(
  at: Token,
  cursor: Cursor,
  site: Token | undefined,
  prefixes: Prefixes,
  state: ParserState,
): Item {
  return {
    is: "instruction",
    mnemonic: at,
    forms: [],
    prefixes,
    operands: [],
    bits: state.bits,
    defaultRelative: state.defaultRelative,
    fixed: true,
    first: at,
    last: cursor.last(),
    site,
  };
}

// Reads the regular expressions of `matches`: what JavaScript's `u` mode has, without what can't be matched in linear time
// (backreferences, look-around). The result is a tree for `program.ts`.

/** Characters by code point: in one of the ranges, or in none of them. */
export interface CharacterSet {
  readonly ranges: readonly (readonly [first: number, last: number])[];
  readonly negated: boolean;
}

export type Assertion = "start" | "end" | "boundary" | "no-boundary";

export type Pattern =
  | { readonly is: "set"; readonly set: CharacterSet }
  | { readonly is: "assert"; readonly assertion: Assertion }
  | { readonly is: "sequence"; readonly parts: readonly Pattern[] }
  | { readonly is: "choice"; readonly options: readonly Pattern[] }
  | {
    readonly is: "repeat";
    readonly part: Pattern;
    readonly least: number;
    readonly most: number;
  };

/** What is wrong with a pattern. */
export class PatternFault extends Error {
  constructor(message: string, readonly suggestion: string) {
    super(message);
  }
}

/** Longest pattern, in UTF-16 units. */
const MAX_LENGTH = 1000;
/** Deepest nesting of groups. */
const MAX_NESTING = 32;
/** Highest number in `{m,n}`. */
const MAX_REPEAT = 1000;

const DIGIT: CharacterSet = { ranges: [[0x30, 0x39]], negated: false };
const WORD: CharacterSet = {
  ranges: [[0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]],
  negated: false,
};
/** White space and line ends, as ECMA-262 has them for \s. */
const SPACE: CharacterSet = {
  ranges: [
    [0x09, 0x0d],
    [0x20, 0x20],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
    [0x2028, 0x2029],
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
  ],
  negated: false,
};
/** `.`: anything but a line end. */
const NOT_LINE_END: CharacterSet = {
  ranges: [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]],
  negated: true,
};

const CLASSES: Readonly<Record<string, CharacterSet>> = { d: DIGIT, w: WORD, s: SPACE };
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, "0": 0 };
const LAST_CODE_POINT = 0x10ffff;

/** Is the code point one of \w? */
export function isWord(code: number): boolean {
  return contains(WORD, code);
}

/** Is the code point in the set? */
export function contains(set: CharacterSet, code: number): boolean {
  return set.ranges.some(([first, last]) => code >= first && code <= last) !== set.negated;
}

/** Reads a pattern; throws {@linkcode PatternFault}. */
export function readPattern(text: string): Pattern {
  if (text.length > MAX_LENGTH) {
    throw new PatternFault(
      `The regular expression is longer than ${MAX_LENGTH} characters`,
      "Look for less of the text",
    );
  }
  return new Reader([...text]).whole();
}

class Reader {
  #at = 0;
  #depth = 0;

  constructor(readonly text: readonly string[]) {}

  whole(): Pattern {
    const pattern = this.#choice();
    if (this.#at < this.text.length) {
      throw new PatternFault("A closing parenthesis too many", "Write \\) for the character");
    }
    return pattern;
  }

  #next(): string | undefined {
    return this.text[this.#at];
  }

  #take(word: string): boolean {
    const length = [...word].length;
    if (this.text.slice(this.#at, this.#at + length).join("") !== word) return false;
    this.#at += length;
    return true;
  }

  #choice(): Pattern {
    const options = [this.#sequence()];
    while (this.#take("|")) options.push(this.#sequence());
    const [only] = options;
    return only && options.length === 1 ? only : { is: "choice", options };
  }

  #sequence(): Pattern {
    const parts: Pattern[] = [];
    for (;;) {
      const next = this.#next();
      if (next === undefined || next === "|" || next === ")") return { is: "sequence", parts };
      parts.push(this.#repeated(this.#atom()));
    }
  }

  #repeated(part: Pattern): Pattern {
    const counts = this.#counts();
    if (!counts) return part;
    if (part.is === "assert") {
      throw new PatternFault("A position can't be repeated", "Remove the repetition");
    }
    this.#take("?"); // "As few as possible" makes no difference to whether there is a match.
    const [least, most] = counts;
    if (least > most || least > MAX_REPEAT || (most > MAX_REPEAT && most !== Infinity)) {
      throw new PatternFault(
        "A repetition is out of range",
        `Write {m,n} with m up to n, and n up to ${MAX_REPEAT}`,
      );
    }
    if (this.#counts()) {
      throw new PatternFault("A repetition of a repetition", "Put the first one into (?:...)");
    }
    return { is: "repeat", part, least, most };
  }

  #counts(): readonly [number, number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    if (this.#next() !== "{") return undefined;
    const close = this.text.indexOf("}", this.#at);
    const inner = this.text.slice(this.#at + 1, close === -1 ? this.#at : close).join("");
    const [, least, comma, most] = /^([0-9]{1,4})(,?)([0-9]{0,4})$/.exec(inner) ?? [];
    if (least === undefined || (comma === "" && most !== "")) {
      throw new PatternFault("A brace that begins no repetition", "Write \\{ for the character");
    }
    this.#at = close + 1;
    return [Number(least), comma === "" ? Number(least) : most ? Number(most) : Infinity];
  }

  #atom(): Pattern {
    const character = this.text[this.#at++] ?? "";
    switch (character) {
      case "(":
        return this.#group();
      case "[":
        return { is: "set", set: this.#set() };
      case ".":
        return { is: "set", set: NOT_LINE_END };
      case "^":
        return { is: "assert", assertion: "start" };
      case "$":
        return { is: "assert", assertion: "end" };
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        throw new PatternFault(
          `Nothing to repeat before ${character}`,
          `Write \\${character} for the character`,
        );
      case "{":
      case "}":
      case "]":
        throw new PatternFault(`A lone ${character}`, `Write \\${character} for the character`);
      default:
        return { is: "set", set: single(character.codePointAt(0) ?? 0) };
    }
  }

  #group(): Pattern {
    if (++this.#depth > MAX_NESTING) {
      throw new PatternFault("Groups are nested too deeply", "Remove parentheses");
    }
    if (this.#next() === "?" && !this.#take("?:")) {
      throw new PatternFault(
        "Look-around, named groups and flags are not supported",
        "Write (?:...), or give several conditions: { starts-with: ..., contains: ..., not: ... }",
      );
    }
    const inner = this.#choice();
    if (!this.#take(")")) {
      throw new PatternFault("A group is not closed", "Write ), or \\( for the character");
    }
    this.#depth--;
    return inner;
  }

  /** After a backslash. */
  #escape(): Pattern {
    const character = this.#next();
    if (character === "b" || character === "B") {
      this.#at++;
      return { is: "assert", assertion: character === "b" ? "boundary" : "no-boundary" };
    }
    return { is: "set", set: this.#escapedSet() };
  }

  #escapedSet(): CharacterSet {
    const character = this.text[this.#at++] ?? "";
    const named = CLASSES[character.toLowerCase()];
    if (named) return character === character.toLowerCase() ? named : { ...named, negated: true };
    const control = Object.hasOwn(CONTROLS, character) ? CONTROLS[character] : undefined;
    if (control !== undefined && !(character === "0" && /[0-9]/.test(this.#next() ?? ""))) {
      return single(control);
    }
    if (character === "x" || character === "u") return single(this.#hex(character));
    if (/^[!-\/:-@[-`{-~]$/.test(character)) return single(character.charCodeAt(0));
    if (/^[0-9k]$/.test(character)) {
      throw new PatternFault("Backreferences are not supported", "Write the text out");
    }
    throw new PatternFault(
      character ? `Unknown escape \\${character}` : "A backslash at the end",
      "Write \\\\ for a backslash",
    );
  }

  #hex(kind: "x" | "u"): number {
    const braced = kind === "u" && this.#take("{");
    const close = braced ? this.text.indexOf("}", this.#at) : this.#at + (kind === "x" ? 2 : 4);
    const digits = this.text.slice(this.#at, close === -1 ? this.#at : close).join("");
    const wanted = braced
      ? /^[0-9a-fA-F]{1,6}$/
      : kind === "x"
      ? /^[0-9a-fA-F]{2}$/
      : /^[0-9a-fA-F]{4}$/;
    const code = parseInt(digits, 16);
    if (!wanted.test(digits) || code > LAST_CODE_POINT) {
      throw new PatternFault(`Unknown escape \\${kind}${digits}`, "Write \\xNN or \\uNNNN");
    }
    this.#at = braced ? close + 1 : close;
    return code;
  }

  /** After an opening bracket. */
  #set(): CharacterSet {
    const negated = this.#take("^");
    const sets: CharacterSet[] = [];
    while (!this.#take("]")) {
      const first = this.#member();
      if (this.#next() !== "-" || this.text[this.#at + 1] === "]") {
        sets.push(first);
        continue;
      }
      this.#at++;
      const [low, high] = [only(first), only(this.#member())];
      if (low === undefined || high === undefined || low > high) {
        throw new PatternFault(
          "A range of characters is upside down",
          "Write the lower end first, as in [a-z]",
        );
      }
      sets.push({ ranges: [[low, high]], negated: false });
    }
    return { ranges: sets.flatMap(positive), negated };
  }

  #member(): CharacterSet {
    const character = this.text[this.#at++];
    if (character === undefined) {
      throw new PatternFault(
        "A character class is not closed",
        "Write ], or \\[ for the character",
      );
    }
    if (character !== "\\") return single(character.codePointAt(0) ?? 0);
    if (this.#take("b")) return single(8);
    return this.#escapedSet();
  }
}

function single(code: number): CharacterSet {
  return { ranges: [[code, code]], negated: false };
}

/** The code point of a set that has just one. */
function only({ ranges, negated }: CharacterSet): number | undefined {
  const [first, last] = ranges[0] ?? [0, 1];
  return ranges.length === 1 && first === last && !negated ? first : undefined;
}

/** The ranges of a set, negation worked out. The ranges of negated ones are in order. */
function positive({ ranges, negated }: CharacterSet): readonly (readonly [number, number])[] {
  if (!negated) return ranges;
  const gaps: (readonly [number, number])[] = [];
  let next = 0;
  for (const [first, last] of ranges) {
    if (first > next) gaps.push([next, first - 1]);
    next = last + 1;
  }
  return next <= LAST_CODE_POINT ? [...gaps, [next, LAST_CODE_POINT]] : gaps;
}

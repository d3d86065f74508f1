// Regular expressions that no input can make slow. Patterns and the texts they are tried on both come from untrusted files,
// so they are matched by Thompson's construction: all possible positions in the pattern are advanced together, and the
// time is the length of the text times the size of the pattern, whatever they are.
import {
  type Assertion,
  type CharacterSet,
  contains,
  isWord,
  type Pattern,
  PatternFault,
  readPattern,
} from "./syntax.ts";

/** A pattern, ready to be tried on texts. */
export interface TextPattern {
  /** Does the pattern match somewhere in the text? */
  test(text: string): boolean;
}

type Instruction =
  | { readonly do: "take"; readonly set: CharacterSet }
  | { readonly do: "assert"; readonly assertion: Assertion }
  /** Goes on at both. */
  | { readonly do: "fork"; readonly to: readonly [number, number] }
  | { readonly do: "match" };

/** Instructions of one pattern, repetitions written out. */
const MAX_INSTRUCTIONS = 2000;

/** What is wrong with a regular expression, in words; undefined if it can be matched. */
export function patternFault(
  pattern: string,
): { readonly message: string; readonly suggestion: string } | undefined {
  try {
    compile(readPattern(pattern));
    return undefined;
  } catch (error) {
    if (error instanceof PatternFault) {
      return { message: error.message, suggestion: error.suggestion };
    }
    throw error;
  }
}

/**
 * Makes a regular expression ready; throws `PatternFault` where {@linkcode patternFault} finds one.
 *
 * ```ts
 * import { assert } from "@std/assert";
 *
 * assert(textPattern("^x+$").test("xxx"));
 * ```
 */
export function textPattern(pattern: string): TextPattern {
  const program = compile(readPattern(pattern));
  return { test: (text) => run(program, text) };
}

function compile(pattern: Pattern): readonly Instruction[] {
  const program: Instruction[] = [];
  const emit = (instruction: Instruction): number => {
    if (program.length >= MAX_INSTRUCTIONS) {
      throw new PatternFault(
        "The regular expression is too big once its repetitions are written out",
        "Repeat less",
      );
    }
    return program.push(instruction) - 1;
  };
  const fork = () => emit({ do: "fork", to: [0, 0] });
  const visit = (part: Pattern): void => {
    switch (part.is) {
      case "set":
        emit({ do: "take", set: part.set });
        break;
      case "assert":
        emit({ do: "assert", assertion: part.assertion });
        break;
      case "sequence":
        part.parts.forEach(visit);
        break;
      case "choice":
        choice(part.options);
        break;
      case "repeat":
        repeat(part.part, part.least, part.most);
        break;
    }
  };
  const choice = (options: readonly Pattern[]): void => {
    const exits: number[] = [];
    options.forEach((option, index) => {
      const last = index === options.length - 1;
      const start = last ? -1 : fork();
      visit(option);
      if (last) return;
      exits.push(fork());
      program[start] = { do: "fork", to: [start + 1, program.length] };
    });
    for (const exit of exits) program[exit] = { do: "fork", to: [program.length, program.length] };
  };
  const repeat = (part: Pattern, least: number, most: number): void => {
    // A part without instructions matches nothing, however often.
    const before = program.length;
    for (let count = 0; count < least; count++) {
      visit(part);
      if (program.length === before) return;
    }
    if (most === Infinity) {
      const start = fork();
      visit(part);
      const back = fork();
      program[back] = { do: "fork", to: [start, start] };
      program[start] = { do: "fork", to: [start + 1, program.length] };
      return;
    }
    const starts: number[] = [];
    for (let count = least; count < most; count++) {
      starts.push(fork());
      visit(part);
    }
    for (const start of starts) program[start] = { do: "fork", to: [start + 1, program.length] };
  };
  visit(pattern);
  emit({ do: "match" });
  return program;
}

function run(program: readonly Instruction[], text: string): boolean {
  // At which step an instruction was last reached, so that none is entered twice a step.
  const reached = new Int32Array(program.length).fill(-1);
  let threads: CharacterSet[] = [];
  let places: number[] = [];
  let matched = false;
  let before: number | undefined;
  let step = 0;

  const enter = (first: number, after: number | undefined): void => {
    const pending = [first];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      const instruction = program[at];
      if (!instruction || reached[at] === step) continue;
      reached[at] = step;
      switch (instruction.do) {
        case "take":
          threads.push(instruction.set);
          places.push(at + 1);
          break;
        case "fork":
          pending.push(...instruction.to);
          break;
        case "assert":
          if (holds(instruction.assertion, before, after)) pending.push(at + 1);
          break;
        case "match":
          matched = true;
          break;
      }
    }
  };

  for (let index = 0;;) {
    const code = text.codePointAt(index);
    enter(0, code); // A match may begin anywhere.
    if (matched || code === undefined) return matched;
    const [sets, targets] = [threads, places];
    [threads, places] = [[], []];
    index += code > 0xffff ? 2 : 1;
    before = code;
    step++;
    const after = text.codePointAt(index);
    sets.forEach((set, thread) => {
      if (contains(set, code)) enter(targets[thread] ?? 0, after);
    });
  }
}

function holds(
  assertion: Assertion,
  before: number | undefined,
  after: number | undefined,
): boolean {
  switch (assertion) {
    case "start":
      return before === undefined;
    case "end":
      return after === undefined;
    case "boundary":
    case "no-boundary": {
      const words = [before, after].filter((code) => code !== undefined && isWord(code)).length;
      return (words === 1) === (assertion === "boundary");
    }
  }
}

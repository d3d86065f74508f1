// %if and its kin (NASM manual, 4.4): which lines count.
import { Cursor } from "../cursor.ts";
import { evaluate, type Scope } from "../evaluate.ts";
import { parseExpression } from "../expression.ts";
import { type MultiMacro, type NameTable, splitArguments } from "./macro.ts";
import type { Reporter } from "../reporter.ts";
import type { SingleExpander, SingleMacros } from "./single_macros.ts";
import type { Token } from "../token.ts";
import { UNKNOWN, type Value } from "../value.ts";
import { suggest } from "../suggest.ts";

/** What conditions ask about. */
export interface ConditionHost {
  readonly reporter: Reporter;
  readonly single: SingleMacros;
  readonly multi: NameTable<readonly MultiMacro[]>;
  readonly expander: SingleExpander;
  readonly constants: ReadonlyMap<string, Value>;
}

interface Branch {
  readonly at: Token;
  /** Do the lines of this branch count? */
  active: boolean;
  /** Has any branch counted yet? */
  taken: boolean;
  hasElse: boolean;
}

/** The tests, by what follows `%if` or `%elif`. */
const TESTS: ReadonlySet<string> = new Set([
  "",
  "def",
  "macro",
  "idn",
  "idni",
  "id",
  "num",
  "str",
  "empty",
  "token",
]);

export class Conditions {
  readonly #open: Branch[] = [];

  constructor(readonly host: ConditionHost) {}

  get depth(): number {
    return this.#open.length;
  }

  get skipping(): boolean {
    const last = this.#open[this.#open.length - 1];
    return last !== undefined && !last.active;
  }

  /** Follows the nesting in lines that do not count. */
  skipped(at: Token, rest: () => readonly Token[]): void {
    const name = at.text.slice(1).toLowerCase();
    if (name.startsWith("if") && isTest(name.slice(2))) {
      // Neither branch of a condition inside counts: it passes for taken.
      this.#open.push({ at, active: false, taken: true, hasElse: false });
    } else if (name === "else" || name === "endif" || name.startsWith("elif")) this.run(at, rest());
  }

  /** Obeys a directive of this family, and tells whether it was one. `rest` is not expanded yet. */
  run(at: Token, rest: readonly Token[]): boolean {
    const name = at.text.slice(1).toLowerCase();
    const { reporter } = this.host;
    if (name.startsWith("if") && isTest(name.slice(2))) {
      const branch = { at, active: true, taken: true, hasElse: false };
      this.#open.push(branch);
      // In case the test fails with a diagnostic, the lines that depend on it count: errors in them are errors too.
      branch.active = branch.taken = this.test(name.slice(2), at, rest);
      return true;
    }
    const elif = name.startsWith("elif") && isTest(name.slice(4));
    if (!elif && name !== "else" && name !== "endif") return false;
    const branch = this.#open[this.#open.length - 1];
    if (!branch) return reporter.fail(`"${at.text}" has no "%if"`, at);
    if (name === "endif") {
      this.#open.pop();
      return true;
    }
    if (branch.hasElse) return reporter.fail(`"${at.text}" comes after "%else"`, at);
    branch.active = false;
    if (name === "else") branch.hasElse = true;
    if (branch.taken) return true;
    branch.active = name === "else" || this.test(name.slice(4), at, rest);
    branch.taken = branch.active;
    return true;
  }

  /** Forgets conditions beyond `depth`: their frame was left early. */
  truncate(depth: number): void {
    this.#open.length = Math.min(this.#open.length, depth);
  }

  /** Reports conditions that their frame did not end. */
  close(depth: number): void {
    while (this.#open.length > depth) {
      const branch = this.#open.pop();
      if (branch) this.host.reporter.error(`"${branch.at.text}" has no "%endif"`, branch.at);
    }
  }

  /** What `%if` plus `test` says of `rest`; `n` in front of a test turns it round. */
  test(test: string, at: Token, rest: readonly Token[]): boolean {
    if (test.startsWith("n") && !TESTS.has(test)) return !this.test(test.slice(1), at, rest);
    const { reporter, single, multi, expander } = this.host;
    switch (test) {
      case "":
        return this.#isTrue(at, expander.expand(rest));
      case "def":
        return rest.some((t) => t.kind === "word" && single.get(t.text) !== undefined);
      case "macro":
        return rest.some((t) => t.kind === "word" && multi.get(t.text) !== undefined);
      case "idn":
      case "idni": {
        const [a, b, more] = splitArguments(expander.expand(rest));
        if (!b || more) return reporter.fail(`"${at.text}" compares two texts`, at);
        return written(a ?? [], test === "idni") === written(b, test === "idni");
      }
      case "empty":
        return expander.expand(rest).length === 0;
      case "token":
        return expander.expand(rest).length === 1;
      case "id":
        return expander.expand(rest)[0]?.kind === "word";
      case "num": {
        const [first, second] = expander.expand(rest);
        const signed = first?.kind === "op" && /^[+-]$/.test(first.text);
        return (signed ? second : first)?.kind === "number";
      }
      case "str":
        return expander.expand(rest)[0]?.kind === "string";
      default:
        return reporter.fail(
          `Unknown condition "${at.text}"`,
          at,
          suggest(at.text, [...TESTS].map((t) => `%if${t}`)),
        );
    }
  }

  #isTrue(at: Token, tokens: readonly Token[]): boolean {
    if (tokens.length === 0) return this.host.reporter.fail(`"${at.text}" needs an expression`, at);
    return constantValue(tokens, this.host).n !== 0n;
  }
}

function isTest(name: string): boolean {
  return TESTS.has(name) || (name.startsWith("n") && TESTS.has(name.slice(1)));
}

/** Tokens as one text, without their white space. */
function written(tokens: readonly Token[], folded: boolean): string {
  const text = tokens.map((t) => t.kind === "string" ? `"${t.text}"` : t.text).join(" ");
  return folded ? text.toLowerCase() : text;
}

/** The value of an expression that must be known while lines are still being read. */
export function constantValue(
  tokens: readonly Token[],
  host: { readonly reporter: Reporter; readonly constants: ReadonlyMap<string, Value> },
): Value {
  const { reporter, constants } = host;
  const cursor = new Cursor(tokens, reporter);
  const expression = parseExpression(cursor, (name) => name);
  cursor.expectEnd();
  const scope: Scope = {
    reporter,
    here: undefined,
    section: undefined,
    lookup(name, at) {
      const value = constants.get(name);
      if (value) return value;
      reporter.fail(
        `The value of "${name}" is not known yet`,
        at,
        "Here only numbers and constants defined further up can be used, no addresses",
      );
      return UNKNOWN;
    },
  };
  return evaluate(expression, scope);
}

// Expands single-line macros (NASM manual, 4.1), and joins what `%+` joins.
import { lexFragment } from "../lexer.ts";
import type { NameTable, SingleMacro } from "./macro.ts";
import type { Reporter } from "../reporter.ts";
import type { Token } from "../token.ts";

/** Longest line after expansion, in tokens. */
const MAX_TOKENS = 20_000;
/** Deepest macro in a macro. */
const MAX_DEPTH = 100;
/** Tokens made over the whole program. */
const MAX_TOTAL = 2_000_000;

/** Several macros may share a name, if they take different numbers of parameters. */
export type SingleMacros = NameTable<readonly SingleMacro[]>;

export class SingleExpander {
  #total = 0;

  constructor(readonly macros: SingleMacros, readonly reporter: Reporter) {}

  /** The tokens with all macros in them expanded. */
  expand(tokens: readonly Token[]): readonly Token[] {
    if (this.macros.size === 0 && !tokens.some((t) => t.kind === "preproc")) return tokens;
    if (!tokens.some((t) => t.kind === "preproc" || this.#macrosOf(t))) return tokens;
    const out: Token[] = [];
    this.#expand(tokens, new Set(), out, 0);
    return this.paste(out);
  }

  #macrosOf(token: Token): readonly SingleMacro[] | undefined {
    return token.kind === "word" && !token.escaped ? this.macros.get(token.text) : undefined;
  }

  #expand(tokens: readonly Token[], active: Set<string>, out: Token[], depth: number): void {
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i];
      if (!token) continue;
      if (out.length > MAX_TOKENS || depth > MAX_DEPTH) {
        this.reporter.fail("Macros expand to too long a line", token);
      }
      if (++this.#total > MAX_TOTAL) {
        this.reporter.giveUp("Macros expand to too long a program", token);
      }
      if (token.kind === "preproc" && token.text === "%[") {
        // Everything is expanded already where this can stand, so it only has to be unwrapped.
        const close = tokens.findIndex((t, at) => at > i && t.kind === "op" && t.text === "]");
        if (close === -1) this.reporter.fail('"%[" has no "]"', token);
        this.#expand(tokens.slice(i + 1, close), active, out, depth + 1);
        i = close;
        continue;
      }
      const macros = this.#macrosOf(token);
      if (!macros || active.has(token.text)) {
        out.push(token);
        continue;
      }
      const [plain] = macros.filter((m) => m.parameters === undefined);
      if (plain) {
        this.#insert(plain.body, token, active, out, depth);
        continue;
      }
      const call = readCall(tokens, i + 1);
      const macro = call && macros.find((m) => m.parameters?.length === call.arguments.length);
      if (!call || !macro) {
        // NASM leaves alone what no definition fits.
        out.push(token);
        continue;
      }
      const actual = call.arguments.map((argument) => {
        const expanded: Token[] = [];
        this.#expand(argument, active, expanded, depth + 1);
        return expanded;
      });
      this.#insert(substitute(macro, actual), token, active, out, depth);
      i = call.end;
    }
  }

  #insert(
    body: readonly Token[],
    at: Token,
    active: Set<string>,
    out: Token[],
    depth: number,
  ): void {
    const start = out.length;
    active.add(at.text);
    this.#expand(body, active, out, depth + 1);
    active.delete(at.text);
    const first = out[start];
    if (first && first.spaced !== at.spaced) out[start] = { ...first, spaced: at.spaced };
  }

  /** Joins the tokens on both sides of each `%+` into one. */
  paste(tokens: readonly Token[]): readonly Token[] {
    if (!tokens.some((t) => t.kind === "preproc" && t.text === "%+")) return tokens;
    const out: Token[] = [];
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i];
      if (!token) continue;
      const next = tokens[i + 1];
      const last = out[out.length - 1];
      if (token.text === "%+" && token.kind === "preproc" && last && next) {
        out.pop();
        out.push(...lexFragment(last.text + next.text, last));
        i++;
      } else if (!(token.text === "%+" && token.kind === "preproc")) out.push(token);
    }
    return out;
  }
}

/** Arguments in parentheses from `tokens[at]` on, and where they end. */
function readCall(
  tokens: readonly Token[],
  at: number,
): { readonly arguments: Token[][]; readonly end: number } | undefined {
  const open = tokens[at];
  if (open?.kind !== "op" || open.text !== "(") return undefined;
  const parts: Token[][] = [];
  let part: Token[] = [];
  let depth = 0;
  for (let i = at + 1; i < tokens.length; i++) {
    const token = tokens[i];
    if (!token) break;
    const op = token.kind === "op" ? token.text : "";
    if (op === ")" && depth === 0) {
      parts.push(part);
      return { arguments: parts, end: i };
    }
    if (op === "(" || op === "{") depth++;
    else if (op === ")" || op === "}") depth--;
    if (op === "," && depth === 0) {
      parts.push(part);
      part = [];
    } else part.push(token);
  }
  return undefined;
}

function substitute(macro: SingleMacro, actual: readonly (readonly Token[])[]): Token[] {
  const { parameters = [], body } = macro;
  return body.flatMap((token) => {
    const index = token.kind === "word" ? parameters.indexOf(token.text) : -1;
    return index === -1 ? [token] : [...actual[index] ?? []];
  });
}

// Macros as they are defined, and as they are being expanded.
import type { Token, TokenLine } from "../token.ts";

/** `%define name(a, b) body`, or without parentheses. */
export interface SingleMacro {
  readonly name: string;
  /** Undefined without parentheses. */
  readonly parameters: readonly string[] | undefined;
  readonly body: readonly Token[];
}

/** `%macro name 1-2+ default` ... `%endmacro`. */
export interface MultiMacro {
  readonly name: string;
  readonly minimum: number;
  /** Infinity for `*`. */
  readonly maximum: number;
  /** The last parameter takes the rest of the line, commas and all. */
  readonly greedy: boolean;
  readonly defaults: readonly (readonly Token[])[];
  readonly body: readonly TokenLine[];
  readonly at: Token;
}

/** One use of a multi-line macro or pv-op. */
export interface MacroCall {
  readonly name: string;
  /** Of `%%local` names: no two uses share it. */
  readonly unique: number;
  readonly arguments: (readonly Token[])[];
  /** Label in front of the use, as `%00` stands for. */
  readonly label: readonly Token[];
}

/** A table of names, some of which do not mind case (`%idefine`, `%imacro`). */
export class NameTable<T> {
  readonly #exact = new Map<string, T>();
  readonly #folded = new Map<string, T>();

  get(name: string): T | undefined {
    return this.#exact.get(name) ??
      (this.#folded.size > 0 ? this.#folded.get(name.toLowerCase()) : undefined);
  }

  set(name: string, value: T, folded: boolean): void {
    if (folded) this.#folded.set(name.toLowerCase(), value);
    else this.#exact.set(name, value);
  }

  delete(name: string): void {
    this.#exact.delete(name);
    this.#folded.delete(name.toLowerCase());
  }

  get size(): number {
    return this.#exact.size + this.#folded.size;
  }

  names(): string[] {
    return [...this.#exact.keys(), ...this.#folded.keys()];
  }
}

/** Splits at commas; braces group what has commas of its own, and are taken off (NASM manual, 4.3). */
export function splitArguments(tokens: readonly Token[]): Token[][] {
  const parts: Token[][] = [];
  let part: Token[] = [];
  let depth = 0;
  for (const token of tokens) {
    const op = token.kind === "op" ? token.text : "";
    if (op === "," && depth === 0) {
      parts.push(part);
      part = [];
      continue;
    }
    if (op === "{" && depth++ === 0 && part.length === 0) continue;
    if (op === "}" && depth > 0 && --depth === 0) continue;
    part.push(token);
  }
  if (parts.length > 0 || part.length > 0) parts.push(part);
  return parts;
}

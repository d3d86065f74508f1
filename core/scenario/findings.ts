// Collects what is wrong with a scenario, so that everything is told at once; and finds the words for "did you mean".
import { type Diagnostic, didYouMean } from "../base/diagnostic.ts";
import type { Span } from "../base/source.ts";

/** Diagnostics kept a scenario: beyond them more would not help anybody. */
const MAX_FINDINGS = 100;

/** Lists of names up to this long are given whole when none of them is near. */
const MAX_LISTED = 8;

/** Diagnostics in the order of the text, each once. */
export class Findings {
  #found: Diagnostic[] = [];
  #seen = new Set<string>();

  /** `message` is a sentence, capitalised, without a full stop; `suggestion` says what to do instead. */
  error(span: Span, message: string, suggestion?: string): void {
    const key = `${span.start}:${message}`;
    if (this.#seen.has(key) || this.#found.length >= MAX_FINDINGS) return;
    this.#seen.add(key);
    this.#found.push({ severity: "error", message, span, ...(suggestion ? { suggestion } : {}) });
  }

  /** Has something been said of exactly this place? */
  has({ start, end }: Span): boolean {
    return this.#found.some(({ span }) => span?.start === start && span.end === end);
  }

  get count(): number {
    return this.#found.length;
  }

  /** What was found, sorted by place. */
  list(): readonly Diagnostic[] {
    return this.#found.toSorted((a, b) => (a.span?.start ?? 0) - (b.span?.start ?? 0));
  }
}

/** Kebab case: `errorCode` is `error-code`. */
export function kebab(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => "-" + letter.toLowerCase());
}

/** Camel case: `error-code` is `errorCode`. */
export function camel(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/** What the writer may have meant by `word`: the names it begins, the nearest name, or, of a few, all of them. */
export function suggest(word: string, names: readonly string[]): string | undefined {
  const begun = word.length >= 2 ? names.filter((name) => name.startsWith(word)) : [];
  if (begun.length > 0 && begun.length <= MAX_LISTED) {
    return `Did you mean ${alternatives(begun.map((name) => `"${name}"`))}?`;
  }
  const near = didYouMean(word, names);
  if (near || names.length === 0) return near;
  return names.length <= MAX_LISTED ? `Write ${alternatives(names)}` : undefined;
}

/** `a`, `a or b`, `a, b or c`. */
export function alternatives(words: readonly string[]): string {
  return words.length < 2
    ? words.join("")
    : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
}

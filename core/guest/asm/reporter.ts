// Collects what is wrong with a program. One assembly reports as much as it can find, but no end of it.
import type { Diagnostic } from "../../base/diagnostic.ts";
import { describeSpan, type Span } from "../../base/source.ts";
import { spanOf, type Token } from "./token.ts";

/** Errors after which assembling stops: more would bury the first. */
export const MAX_ERRORS = 50;

/** As many times may each of them be found again (a mistake in a macro is found at every use) before that is the end too. */
const REPEATS = 10;

/** Thrown to leave the statement at hand, once its error is reported. Never leaves this folder. */
export class Abandon extends Error {
  override readonly name = "Abandon";
}

/** Thrown to give up the program. Never leaves this folder. */
export class GiveUp extends Error {
  override readonly name = "GiveUp";
}

/** The diagnostics of one assembly, in the order found, no two alike. */
export class Reporter {
  readonly #found = new Map<string, Diagnostic>();
  #errors = 0;
  /** The use of a macro that brought what is looked at now, to be named beside a place inside the macro. */
  site: Token | undefined;

  /** Times that something was reported, repeated reports included. */
  #attempts = 0;

  /** Gives up at the error number `limit`, or when far more was reported again and again. */
  constructor(readonly limit = MAX_ERRORS) {}

  /** Errors so far. */
  get errors(): number {
    return this.#errors;
  }

  /** Diagnostics so far. */
  get count(): number {
    return this.#found.size;
  }

  /** All of them, in the order of the text: file after file as they first came up. */
  get diagnostics(): readonly Diagnostic[] {
    const all = [...this.#found.values()];
    const files = [...new Set(all.map((d) => d.span?.file))];
    return all.sort((a, b) =>
      files.indexOf(a.span?.file) - files.indexOf(b.span?.file) ||
      (a.span?.start ?? 0) - (b.span?.start ?? 0)
    );
  }

  /** Reports an error at a token, or from one token to another of its line. */
  error(message: string, at: Token | readonly [Token, Token], suggestion?: string): void {
    this.at("error", message, at instanceof Array ? spanOf(at[0], at[1]) : spanOf(at), suggestion);
  }

  warning(message: string, at: Token | readonly [Token, Token], suggestion?: string): void {
    this.at(
      "warning",
      message,
      at instanceof Array ? spanOf(at[0], at[1]) : spanOf(at),
      suggestion,
    );
  }

  /** Reports an error and leaves the statement. */
  fail(message: string, at: Token | readonly [Token, Token], suggestion?: string): never {
    this.error(message, at, suggestion);
    throw new Abandon();
  }

  /** Reports an error that makes going on pointless. */
  giveUp(message: string, at: Token, suggestion?: string): never {
    this.error(message, at, suggestion);
    throw new GiveUp();
  }

  at(severity: "error" | "warning", message: string, span: Span, suggestion?: string): void {
    if (++this.#attempts >= this.limit * REPEATS) throw new GiveUp();
    const key = `${span.file.name}:${span.start}:${message}`;
    if (this.#found.has(key)) return;
    const hints = [suggestion, this.#usedAt(span)].filter((hint) => hint !== undefined);
    this.#found.set(key, {
      severity,
      message,
      span,
      ...(hints.length === 0
        ? {}
        : { suggestion: hints.join(" ").replace(/(\w) Used by/, "$1. Used by") }),
    });
    if (severity === "error" && ++this.#errors >= this.limit) throw new GiveUp();
  }

  /** Names the use of the macro, unless the diagnostic points there itself. */
  #usedAt(span: Span): string | undefined {
    if (!this.site) return undefined;
    const used = spanOf(this.site);
    return used.file === span.file && used.start === span.start
      ? undefined
      : `Used by "${this.site.text}" at ${describeSpan(used)}`;
  }
}

/** Runs `work`; true if it left its statement. Anything but {@linkcode Abandon} goes on up. */
export function abandons(work: () => void): boolean {
  try {
    work();
    return false;
  } catch (error) {
    if (error instanceof Abandon) return true;
    throw error;
  }
}

// Reads a line's tokens from left to right.
import type { Reporter } from "./reporter.ts";
import type { Token } from "./token.ts";

export class Cursor {
  at = 0;
  /** Operators of the expression being parsed, so that its length can be bounded. */
  operators = 0;

  /** `line` is never empty. */
  constructor(readonly tokens: readonly Token[], readonly reporter: Reporter) {}

  get done(): boolean {
    return this.at >= this.tokens.length;
  }

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }

  /** The token passed last, or the first one: where an error about something missing belongs. */
  last(): Token {
    const token = this.tokens[Math.min(Math.max(this.at - 1, 0), this.tokens.length - 1)];
    if (!token) throw new RangeError("A cursor needs tokens");
    return token;
  }

  next(): Token | undefined {
    const token = this.tokens[this.at];
    if (token) this.at++;
    return token;
  }

  /** Is the next token this operator? */
  isOp(text: string, ahead = 0): boolean {
    const token = this.tokens[this.at + ahead];
    return token?.kind === "op" && token.text === text;
  }

  /** Passes the operator if it is next. */
  takeOp(text: string): boolean {
    if (!this.isOp(text)) return false;
    this.at++;
    return true;
  }

  /** The next token in lower case, if it is an unescaped word. */
  wordAhead(ahead = 0): string | undefined {
    const token = this.tokens[this.at + ahead];
    return token?.kind === "word" && !token.escaped ? token.text.toLowerCase() : undefined;
  }

  /** Passes the word if it is next, in whatever case. */
  takeWord(text: string): boolean {
    if (this.wordAhead() !== text) return false;
    this.at++;
    return true;
  }

  /** Passes the operator, or fails. */
  expectOp(text: string): void {
    if (!this.takeOp(text)) this.unexpected(`"${text}"`);
  }

  /** Fails over what is next. */
  unexpected(wanted: string): never {
    const token = this.peek();
    if (!token) return this.reporter.fail(`Expected ${wanted} after this`, this.last());
    if (token.kind === "bad") return this.reporter.fail(token.text, token);
    return this.reporter.fail(`Expected ${wanted} instead of "${token.text}"`, token);
  }

  /** Fails unless the line ends here. */
  expectEnd(): void {
    if (!this.done) this.unexpected("the end of the line");
  }
}

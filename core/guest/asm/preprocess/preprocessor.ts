// NASM's preprocessor (NASM manual, chapter 4): hands out one line after the other, macros expanded, files included,
// conditions decided. Everything that a program could make it do without end is bounded.
import type { SourceFile } from "../../../base/source.ts";
import { Conditions } from "./conditions.ts";
import { lexSource } from "../lexer.ts";
import { type MacroCall, type MultiMacro, NameTable, splitArguments } from "./macro.ts";
import { type DirectiveHost, REPETITION, runDirective } from "./macro_directives.ts";
import { substituteParameters } from "./parameters.ts";
import { Abandon, type Reporter } from "../reporter.ts";
import { SingleExpander, type SingleMacros } from "./single_macros.ts";
import { sourceOfFile } from "../source.ts";
import type { AsmSource, Token, TokenLine } from "../token.ts";
import type { Value } from "../value.ts";
import { suggest } from "../suggest.ts";

/** Deepest nesting of files, macros and repetitions. */
const MAX_DEPTH = 100;
/** Lines that come out, over the whole program. */
const MAX_LINES = 300_000;

/** Lines being read: a file, a macro's body, or a repeated block. */
export interface Frame {
  readonly kind: "source" | "macro" | "rep";
  readonly lines: readonly TokenLine[];
  at: number;
  /** Times still to go, this one included. */
  remaining: number;
  readonly call: MacroCall | undefined;
  /** The outermost use of a macro that led here. */
  readonly site: Token | undefined;
  /** Conditions open when it began. */
  readonly conditions: number;
}

export interface PreprocessorOptions {
  readonly include?: (name: string) => SourceFile | undefined;
  readonly pv?: (name: string) => string | undefined;
  readonly pvNames?: readonly string[];
}

export interface ExpandedLine {
  readonly tokens: readonly Token[];
  readonly site: Token | undefined;
}

export class Preprocessor implements DirectiveHost {
  readonly single: SingleMacros = new NameTable();
  readonly multi = new NameTable<readonly MultiMacro[]>();
  readonly expander: SingleExpander;
  readonly conditions: Conditions;
  /** Names of the pv-ops used. */
  readonly pvOps = new Set<string>();
  /** Constants defined so far, which `%if` may ask for. */
  readonly constants = new Map<string, Value>();
  readonly #frames: Frame[] = [];
  #lines = 0;
  #unique = 0;
  /** A line that waits for the one before it: the use of a macro behind a label. */
  #pending: ExpandedLine | undefined;

  constructor(readonly reporter: Reporter, readonly options: PreprocessorOptions) {
    this.expander = new SingleExpander(this.single, reporter);
    this.conditions = new Conditions(this);
  }

  /** Starts reading a source; the one before must be read to its end. */
  open(source: AsmSource): void {
    this.#push("source", lexSource(source), 1, undefined, undefined);
  }

  /** The next line to assemble, or undefined at the end. */
  next(): ExpandedLine | undefined {
    for (;;) {
      if (this.#pending) {
        const line = this.#pending;
        this.#pending = undefined;
        return line;
      }
      const frame = this.#frames[this.#frames.length - 1];
      if (!frame) return undefined;
      const line = frame.lines[frame.at++];
      if (!line) {
        this.#finish(frame);
        continue;
      }
      this.reporter.site = frame.site;
      try {
        const expanded = this.#read(line, frame);
        if (expanded) return expanded;
      } catch (error) {
        if (!(error instanceof Abandon)) throw error;
      }
    }
  }

  /** Lines up to the matching end, taken from the frame being read: the body of a macro or repetition. */
  body(start: readonly string[], end: readonly string[], at: Token): TokenLine[] {
    const frame = this.#frames[this.#frames.length - 1];
    const lines: TokenLine[] = [];
    let depth = 0;
    for (let line = frame?.lines[frame.at++]; frame && line; line = frame.lines[frame.at++]) {
      const [first] = line.tokens;
      const name = first?.kind === "preproc" ? first.text.toLowerCase() : "";
      if (start.includes(name)) depth++;
      if (end.includes(name) && depth-- === 0) return lines;
      // A repetition takes the arguments as they are in each turn, a macro as they are now.
      lines.push(start === REPETITION ? line : { ...line, tokens: this.#substituted(line, frame) });
    }
    return this.reporter.fail(`"${at.text}" has no "${end[0]}"`, at);
  }

  repeat(lines: readonly TokenLine[], times: number, at: Token): void {
    if (times === 0 || lines.length === 0) return;
    const frame = this.#frames[this.#frames.length - 1];
    this.#push("rep", lines, times, frame?.call, frame?.site, at);
  }

  /** Leaves the innermost repetition or macro, and the conditions opened in it. */
  leave(kind: "rep" | "macro", at: Token): void {
    const index = this.#frames.findLastIndex((f) => f.kind === kind);
    const frame = this.#frames[index];
    if (!frame) this.reporter.fail(`"${at.text}" stands outside of what it would leave`, at);
    else {
      this.#frames.length = index;
      this.conditions.truncate(frame.conditions);
    }
  }

  /** Rotates the arguments of the macro being expanded. */
  rotate(by: number, at: Token): void {
    const call = this.#frames.findLast((f) => f.call !== undefined)?.call;
    if (!call) return this.reporter.fail(`"${at.text}" has a meaning only in a macro`, at);
    const { length } = call.arguments;
    if (length === 0) return;
    const shift = ((by % length) + length) % length;
    call.arguments.push(...call.arguments.splice(0, shift));
  }

  include(name: string, at: Token): void {
    const file = this.options.include?.(name);
    if (!file) return this.reporter.fail(`There is no file "${name}" to include`, at);
    const frame = this.#frames[this.#frames.length - 1];
    this.#push("source", lexSource(sourceOfFile(file)), 1, undefined, frame?.site, at);
  }

  #push(
    kind: Frame["kind"],
    lines: readonly TokenLine[],
    remaining: number,
    call: MacroCall | undefined,
    site: Token | undefined,
    at?: Token,
  ): void {
    if (this.#frames.length >= MAX_DEPTH && at) {
      this.reporter.giveUp(
        `Files, macros and repetitions are nested more than ${MAX_DEPTH} deep`,
        at,
        "Does a macro or file use itself?",
      );
    }
    const conditions = this.conditions.depth;
    this.#frames.push({ kind, lines, at: 0, remaining, call, site, conditions });
  }

  #finish(frame: Frame): void {
    this.conditions.close(frame.conditions);
    if (--frame.remaining > 0) frame.at = 0;
    else this.#frames.pop();
  }

  /** One line: a directive is obeyed, anything else expanded. */
  #read(line: TokenLine, frame: Frame): ExpandedLine | undefined {
    const [start] = line.tokens;
    if (!start) return undefined;
    if (++this.#lines > MAX_LINES) {
      this.reporter.giveUp(`The program expands to more than ${MAX_LINES} lines`, start);
    }
    const directive = start.kind === "preproc" && /^%[a-z]/i.test(start.text);
    if (this.conditions.skipping) {
      if (directive) this.conditions.skipped(start, () => this.#substituted(line, frame).slice(1));
      return undefined;
    }
    const tokens = this.#substituted(line, frame);
    if (directive) {
      runDirective(start, tokens.slice(1), this);
      return undefined;
    }
    const expanded = this.expander.expand(tokens);
    if (expanded.length === 0) return undefined;
    return this.#call(expanded, frame);
  }

  #substituted(line: TokenLine, frame: Frame | undefined): readonly Token[] {
    return frame?.call && line.preprocessed
      ? substituteParameters(line.tokens, frame.call, this.reporter)
      : line.tokens;
  }

  /** Begins the macro or pv-op that a line uses, and answers the label in front of it; or answers the line. */
  #call(tokens: readonly Token[], frame: Frame): ExpandedLine | undefined {
    const plain = { tokens, site: frame.site };
    for (const skip of labelLengths(tokens)) {
      const name = tokens[skip];
      if (name?.kind !== "word" || name.escaped) continue;
      const isPv = name.text.toLowerCase() === "pv" && this.options.pv !== undefined;
      const macros = isPv ? undefined : this.multi.get(name.text);
      if (!isPv && !macros) continue;
      const label = tokens.slice(0, skip);
      const rest = tokens.slice(skip + 1);
      if (isPv) this.#callPv(name, rest, frame);
      else this.#callMacro(name, macros ?? [], rest, label, frame);
      return label.length > 0 ? { tokens: label, site: frame.site } : undefined;
    }
    return plain;
  }

  #callPv(at: Token, rest: readonly Token[], frame: Frame): void {
    const [name, extra] = rest;
    if (name?.kind !== "word") {
      return this.reporter.fail('"pv" needs the name of a pv-op', name ?? at);
    }
    if (extra) {
      this.reporter.fail("A pv-op takes its arguments in registers", extra);
    }
    const text = this.options.pv?.(name.text);
    if (text === undefined) {
      this.reporter.fail(
        `Unknown pv-op "${name.text}"`,
        name,
        suggest(name.text, this.options.pvNames ?? []),
      );
      return;
    }
    this.pvOps.add(name.text);
    const call = { name: name.text, unique: ++this.#unique, arguments: [], label: [] };
    const lines = lexSource(sourceOfPv(name.text, text));
    this.#push("macro", lines, 1, call, frame.site ?? at, at);
  }

  #callMacro(
    at: Token,
    macros: readonly MultiMacro[],
    rest: readonly Token[],
    label: readonly Token[],
    frame: Frame,
  ): void {
    let parts = splitArguments(rest);
    const macro = macros.find((m) =>
      parts.length >= m.minimum && (parts.length <= m.maximum || m.greedy)
    );
    if (!macro) {
      const counts = macros.map((m) =>
        m.minimum === m.maximum
          ? `${m.minimum}`
          : m.maximum === Infinity
          ? `${m.minimum} or more`
          : `${m.minimum} to ${m.maximum}`
      );
      this.reporter.fail(
        `Macro "${at.text}" takes ${counts.join(" or ")} ${
          counts.join() === "1" ? "argument" : "arguments"
        }, not ${parts.length}`,
        at,
      );
      return;
    }
    if (macro.greedy && parts.length > macro.maximum) {
      const first = parts[macro.maximum - 1]?.[0];
      const from = first ? rest.indexOf(first) : 0;
      parts = [...parts.slice(0, macro.maximum - 1), rest.slice(from)];
    }
    for (let i = parts.length; i < macro.minimum + macro.defaults.length; i++) {
      parts.push([...macro.defaults[i - macro.minimum] ?? []]);
    }
    const call = { name: at.text, unique: ++this.#unique, arguments: parts, label };
    this.#push("macro", macro.body, 1, call, frame.site ?? at, at);
  }
}

/** How many tokens a label in front of a macro may take: none, `name`, or `name:`. */
function labelLengths(tokens: readonly Token[]): readonly number[] {
  const colon = tokens[1];
  return colon?.kind === "op" && colon.text === ":" ? [2] : [0, 1];
}

/** The sources of pv-ops, so that each text is read once. */
const pvSources = new Map<string, AsmSource>();
const MAX_PV_SOURCES = 512;

function sourceOfPv(name: string, text: string): AsmSource {
  const key = `${name}\n${text}`;
  let source = pvSources.get(key);
  if (!source) {
    if (pvSources.size >= MAX_PV_SOURCES) pvSources.clear();
    pvSources.set(key, source = sourceOfFile({ name: `pv ${name}`, text }));
  }
  return source;
}

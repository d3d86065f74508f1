// The assembler: NASM's language to bytes at addresses, over iced-x86's encoder. Called when a guest is built.
import type { Diagnostic } from "../../base/diagnostic.ts";
import type { SourceFile } from "../../base/source.ts";
import type { LineEntry } from "../image.ts";
import { layOut } from "./layout.ts";
import { Preprocessor } from "./preprocess/preprocessor.ts";
import type { Item } from "./program.ts";
import { abandons, GiveUp, Reporter } from "./reporter.ts";
import type { ParserState } from "./parser_state.ts";
import { parseLine } from "./statement.ts";
import type { AsmSource } from "./token.ts";

export type { AsmSource } from "./token.ts";
export { sourceOfFile, sourceOfProgram } from "./source.ts";

export interface AssembleOptions {
  /** Mode of the code where each source begins. */
  readonly bits: 16 | 32 | 64;
  /** Address of the first byte, unless the program has an `org`. */
  readonly origin: number;
  /** The text behind `%include "name"`; undefined if there is none. */
  readonly include?: (name: string) => SourceFile | undefined;
  /** Assembly text that replaces `pv NAME`; undefined if there is no such pv-op. */
  readonly pv?: (name: string) => string | undefined;
  /** Names of the pv-ops there are, for suggestions. */
  readonly pvNames?: readonly string[];
}

export interface Assembled {
  /** Code and data from `origin` on; room reserved at the end is not in it. */
  readonly bytes: Uint8Array;
  readonly origin: number;
  /** First address after everything, reserved room included. */
  readonly end: number;
  /** Labels and constants, as unsigned 64-bit values. Local ones are `parent.local`. */
  readonly symbols: Readonly<Record<string, bigint>>;
  /** Sorted by address. */
  readonly lines: readonly LineEntry[];
  /** Names of the pv-ops used, sorted. */
  readonly pvOps: readonly string[];
}

export interface AssembleResult {
  /** Missing if there is any error. */
  readonly assembled?: Assembled;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Assembles sources one after the other as one unit. Never throws for what is in them.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { assemble, sourceOfFile } from "./assemble.ts";
 *
 * const source = sourceOfFile({ name: "halt.asm", text: "start: hlt\n jmp start" });
 * const { assembled } = assemble([source], { bits: 16, origin: 0x7c00 });
 * assertEquals([...assembled?.bytes ?? []], [0xf4, 0xeb, 0xfd]);
 * ```
 */
export function assemble(sources: readonly AsmSource[], options: AssembleOptions): AssembleResult {
  const reporter = new Reporter();
  const items: Item[] = [];
  const preprocessor = new Preprocessor(reporter, options);
  const state: ParserState = {
    reporter,
    bits: options.bits,
    defaultRelative: false,
    parent: "",
    defined: new Map(),
    items,
    constants: preprocessor.constants,
  };
  try {
    for (const source of sources) {
      state.bits = options.bits;
      state.defaultRelative = false;
      state.parent = "";
      preprocessor.open(source);
      for (let line = preprocessor.next(); line; line = preprocessor.next()) {
        const { tokens, site } = line;
        abandons(() => parseLine(tokens, site, state));
      }
    }
    if (reporter.errors === 0 || items.length > 0) {
      const laidOut = layOut(items, options.origin, reporter);
      if (laidOut && reporter.errors === 0) {
        const { bytes, origin, end, lines } = laidOut;
        const symbols = symbolTable(laidOut.symbols);
        const pvOps = [...preprocessor.pvOps].sort();
        return {
          assembled: { bytes, origin, end, symbols, lines, pvOps },
          diagnostics: reporter.diagnostics,
        };
      }
    }
  } catch (error) {
    if (!(error instanceof GiveUp)) throw error;
  }
  return { diagnostics: reporter.diagnostics };
}

/** What a user may refer to; names that macros made up for themselves are left out. */
function symbolTable(symbols: ReadonlyMap<string, { readonly n: bigint }>): Record<string, bigint> {
  // Not by assignment: a label may be called `__proto__`.
  return Object.fromEntries(
    [...symbols].filter(([name]) => !name.startsWith("..@"))
      .map(([name, { n }]) => [name, BigInt.asUintN(64, n)]),
  );
}

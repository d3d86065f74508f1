// What the parser remembers from one line to the next.
import type { Qualify } from "./expression.ts";
import type { Bits, Item } from "./program.ts";
import type { Reporter } from "./reporter.ts";
import type { Token } from "./token.ts";
import type { Value } from "./value.ts";

/** What holds from one line to the next. */
export interface ParserState {
  readonly reporter: Reporter;
  bits: Bits;
  defaultRelative: boolean;
  /** The last label without a dot, to which local ones belong. */
  parent: string;
  /** The first definition of each name. */
  readonly defined: Map<string, Token>;
  readonly items: Item[];
  /** Told of each constant whose value is known at once, for the preprocessor's sake. */
  readonly constants: Map<string, Value>;
}

/** Local names belong to the label before them; `..name` to none (NASM manual, 3.9). */
export function qualifier(state: ParserState): Qualify {
  return (name) => name.startsWith(".") && !name.startsWith("..") ? state.parent + name : name;
}

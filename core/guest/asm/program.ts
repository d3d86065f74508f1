// What parsing makes of a program: a list of items, laid out over and over until every address is known.
import type { Span } from "../../base/source.ts";
import type { Expression } from "./expression.ts";
import type { Form } from "./isa/forms.ts";
import type { Operand } from "./operand.ts";
import { spanOf, type Token } from "./token.ts";

export type Bits = 16 | 32 | 64;

/** What stands in front of a mnemonic. */
export interface Prefixes {
  readonly rep: "rep" | "repne" | undefined;
  readonly lock: Token | undefined;
  /** Segment register, or Register.None. */
  readonly segment: number;
  readonly operandSize: Bits | undefined;
  readonly addressSize: Bits | undefined;
}

/** One value of db, dw, dd, dq, dt. */
export type DataElement =
  | { readonly is: "string"; readonly text: string }
  | { readonly is: "expression"; readonly value: Expression }
  | { readonly is: "float"; readonly text: string; readonly negative: boolean; readonly at: Token }
  | { readonly is: "nothing" };

/** Where an item came from. */
export interface Place {
  readonly first: Token;
  readonly last: Token;
  /** The invocation of the outermost macro or pv-op that brought it, if one did. */
  readonly site: Token | undefined;
}

export interface InstructionItem extends Place {
  readonly is: "instruction";
  readonly mnemonic: Token;
  readonly forms: readonly Form[];
  readonly prefixes: Prefixes;
  readonly operands: readonly Operand[];
  readonly bits: Bits;
  readonly defaultRelative: boolean;
  /** No name and no `$` in it: encoded once and for all. */
  readonly fixed: boolean;
}

export type Item =
  | InstructionItem
  | (Place & { readonly is: "label"; readonly name: string })
  | (Place & { readonly is: "equ"; readonly name: string; readonly value: Expression })
  | (Place & {
    readonly is: "data";
    readonly width: number;
    readonly elements: readonly DataElement[];
    readonly fixed: boolean;
  })
  | (Place & { readonly is: "reserve"; readonly width: number; readonly count: Expression })
  | (Place & { readonly is: "align"; readonly to: Expression; readonly fill: Item | undefined })
  | (Place & { readonly is: "times"; readonly count: Expression; readonly item: Item })
  | (Place & { readonly is: "org"; readonly origin: Expression })
  | (Place & {
    readonly is: "section";
    readonly name: string;
    readonly align: Expression | undefined;
  });

/** The line that a reader of the user's file would point at. */
export function siteSpan(place: Place): Span {
  return place.site ? spanOf(place.site) : spanOf(place.first, place.last);
}

/** Does the expression come out the same wherever it stands? */
export function isFixed(expression: Expression | undefined): boolean {
  if (expression === undefined) return true;
  switch (expression.is) {
    case "value":
    case "register":
    case "float":
      return true;
    case "symbol":
    case "here":
    case "section":
      return false;
    case "unary":
      return isFixed(expression.operand);
    case "binary":
      return isFixed(expression.left) && isFixed(expression.right);
    case "conditional":
      return isFixed(expression.condition) && isFixed(expression.yes) && isFixed(expression.no);
  }
}

/** Are all of the operands' expressions? */
export function areFixed(operands: readonly Operand[]): boolean {
  return operands.every((operand) => {
    switch (operand.is) {
      case "register":
        return true;
      case "immediate":
        return isFixed(operand.value);
      case "far":
        return isFixed(operand.selector) && isFixed(operand.offset);
      case "memory":
        return isFixed(operand.address.displacement) &&
          operand.address.terms.every((term) => isFixed(term.factor));
    }
  });
}

// What an expression is worth: 64-bit integers as NASM has them, and whether they are addresses.

export interface Value {
  /** Signed 64-bit. */
  readonly n: bigint;
  /**
   * How many addresses of the program are in it: 0 for a plain number, 1 for an address. A difference of two addresses
   * is a plain number. NASM never shortens an immediate or displacement that holds an address.
   */
  readonly relative: number;
  /** The section that an address lies in, by its number; meaningless for a plain number. */
  readonly section: number;
  /** Depends on a name that has no value yet, in the first pass. */
  readonly unknown: boolean;
}

/** A plain number, wrapped to 64 bits. */
export function plain(n: bigint): Value {
  return { n: BigInt.asIntN(64, n), relative: 0, section: 0, unknown: false };
}

export const ZERO = plain(0n);
export const UNKNOWN: Value = { n: 0n, relative: 0, section: 0, unknown: true };

/** Are both worth the same? */
export function sameValue(a: Value, b: Value): boolean {
  return a.n === b.n && a.relative === b.relative && a.unknown === b.unknown;
}

const unsigned = (n: bigint) => BigInt.asUintN(64, n);
const truth = (is: boolean) => is ? 1n : 0n;

/** The result of a unary operator on plain bits. */
export function unary(operator: string, n: bigint): bigint {
  switch (operator) {
    case "-":
      return -n;
    case "~":
      return ~n;
    case "!":
      return truth(n === 0n);
    default:
      return n;
  }
}

/**
 * The result of a binary operator on 64-bit integers (NASM manual, 3.5), before it is wrapped; undefined for a division
 * by zero. `/` and `%` are unsigned, `//` and `%%` signed; `>>` is unsigned, `>>>` signed; comparisons are signed.
 */
export function binary(operator: string, a: bigint, b: bigint): bigint | undefined {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return b === 0n ? undefined : unsigned(a) / unsigned(b);
    case "//":
      return b === 0n ? undefined : a / b;
    case "%":
      return b === 0n ? undefined : unsigned(a) % unsigned(b);
    case "%%":
      return b === 0n ? undefined : a % b;
    case "<<":
    case "<<<":
      return unsigned(b) > 63n ? 0n : a << b;
    case ">>":
      return unsigned(b) > 63n ? 0n : unsigned(a) >> b;
    case ">>>":
      return a >> (unsigned(b) > 63n ? 63n : b);
    case "&":
      return a & b;
    case "|":
      return a | b;
    case "^":
      return a ^ b;
    case "&&":
      return truth(a !== 0n && b !== 0n);
    case "||":
      return truth(a !== 0n || b !== 0n);
    case "^^":
      return truth((a !== 0n) !== (b !== 0n));
    case "=":
    case "==":
      return truth(a === b);
    case "!=":
    case "<>":
      return truth(a !== b);
    case "<":
      return truth(a < b);
    case "<=":
      return truth(a <= b);
    case ">":
      return truth(a > b);
    case ">=":
      return truth(a >= b);
    case "<=>":
      return a < b ? -1n : truth(a > b);
    default:
      return undefined;
  }
}

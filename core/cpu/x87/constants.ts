// The constants that FLD1, FLDPI and their kin push: rounded from 66 bits as rounding control says (SDM vol. 1, 8.3.8).
import { type Float80, INTEGER_BIT } from "./float80.ts";
import { ROUND } from "./unit.ts";

/** Exponent and significand to nearest, and whether that is above the true value. */
interface Constant {
  readonly exponent: number;
  readonly hi: number;
  readonly lo: number;
  readonly above?: boolean;
  readonly exact?: boolean;
}

export const CONSTANTS = {
  one: { exponent: 16383, hi: INTEGER_BIT, lo: 0, exact: true },
  zero: { exponent: 0, hi: 0, lo: 0, exact: true },
  /** log2 10, log2 e, pi, log10 2, ln 2. */
  log2Of10: { exponent: 16384, hi: 0xd49a784b | 0, lo: 0xcd1b8afe | 0 },
  log2OfE: { exponent: 16383, hi: 0xb8aa3b29 | 0, lo: 0x5c17f0bc | 0, above: true },
  pi: { exponent: 16384, hi: 0xc90fdaa2 | 0, lo: 0x2168c235 | 0, above: true },
  log10Of2: { exponent: 16381, hi: 0x9a209a84 | 0, lo: 0xfbcff799 | 0, above: true },
  ln2: { exponent: 16382, hi: 0xb17217f7 | 0, lo: 0xd1cf79ac | 0, above: true },
} as const satisfies Record<string, Constant>;

/** The constant as rounding control wants it. All are positive, and none has a zero at its low end. */
export function constant(into: Float80, value: Constant, rounding: number): void {
  into.set(0, value.exponent, value.hi, value.lo);
  if (value.exact) return;
  if (value.above && (rounding === ROUND.down || rounding === ROUND.zero)) into.lo--;
  if (!value.above && rounding === ROUND.up) into.lo++;
}

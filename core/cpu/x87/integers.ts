// Integers and packed decimals, to and from 80 bits (SDM vol. 1, 4.2.1 and 4.7).
import { BIAS, type Float80, INTEGER_BIT, KIND, kindOf, normalize, shiftRight } from "./float80.ts";
import { STATUS } from "./registers.ts";
import { ROUND, type Unit } from "./unit.ts";

const UNIT_EXPONENT = BIAS + 63;

/** A signed integer of 64 bits, exactly. */
export function fromInteger(into: Float80, hi: number, lo: number): void {
  const negative = hi >>> 31;
  if (negative) {
    lo = -lo | 0;
    hi = ~hi + (lo === 0 ? 1 : 0) | 0;
  }
  into.set(negative, UNIT_EXPONENT, hi, lo);
  if ((hi | lo) === 0) into.exponent = 0;
  else normalize(into);
}

/** The integer that a finite number is rounded to: its magnitude, in the second result. False: beyond 64 bits. */
function magnitude(u: Unit, a: Float80, rounding: number): boolean {
  const { s } = u;
  s.copy(a);
  const by = UNIT_EXPONENT - a.exponent;
  if (by < 0) return false;
  const rest = shiftRight(s, by);
  if (rest === 0) return true;
  const up = rounding === ROUND.nearest
    ? rest < 0 && (rest !== INTEGER_BIT || (s.lo & 1) !== 0)
    : rounding === (a.negative ? ROUND.down : ROUND.up);
  u.raise(STATUS.PE);
  u.roundedUp(up);
  if (!up) return true;
  s.lo = s.lo + 1 | 0;
  if (s.lo === 0) s.hi = s.hi + 1 | 0;
  // From all ones to 2^64.
  return (s.hi | s.lo) !== 0;
}

function isFinite({ exponent, hi, lo }: Float80): boolean {
  const kind = kindOf({ exponent, hi, lo } as Float80);
  return kind <= KIND.denormal;
}

/** Converts to an integer of `bytes`, in the halves of the second result: the integer indefinite where it does not fit. */
export function toInteger(u: Unit, a: Float80, bytes: number, truncate: boolean): void {
  const { s } = u;
  const fits = isFinite(a) && magnitude(u, a, truncate ? ROUND.zero : u.rounding) &&
    isWithin(s, bytes, a.negative);
  if (!fits) return indefiniteInteger(u, bytes);
  if (!a.negative) return;
  s.lo = -s.lo | 0;
  s.hi = ~s.hi + (s.lo === 0 ? 1 : 0) | 0;
}

function isWithin({ hi, lo }: Float80, bytes: number, negative: number): boolean {
  if (bytes === 8) return hi >= 0 || negative === 1 && hi === INTEGER_BIT && lo === 0;
  return hi === 0 && lo >>> 0 < 2 ** (8 * bytes - 1) + negative;
}

function indefiniteInteger(u: Unit, bytes: number): void {
  u.flags = STATUS.IE;
  u.roundedUp(false);
  const { s } = u;
  s.hi = bytes === 8 ? INTEGER_BIT : 0;
  s.lo = bytes === 8 ? 0 : bytes === 4 ? INTEGER_BIT : 0x8000;
}

/** FRNDINT's result. */
export function roundToIntegral(u: Unit, a: Float80): void {
  if (a.exponent >= UNIT_EXPONENT) return u.r.copy(a);
  // What is below one half may be zero, with the sign of the operand.
  magnitude(u, a, u.rounding);
  const { s, r } = u;
  const carried = (s.hi | s.lo) === 0 && a.exponent === UNIT_EXPONENT - 1 && a.hi === -1;
  if (carried) return r.set(a.negative, UNIT_EXPONENT + 1, INTEGER_BIT, 0);
  r.set(a.negative, UNIT_EXPONENT, s.hi, s.lo);
  if ((s.hi | s.lo) === 0) r.exponent = 0;
  else normalize(r);
}

// ---- Packed decimals -------------------------------------------------------------------------------------------------

const MAX_DECIMAL = 10n ** 18n;
/** The packed BCD indefinite (SDM vol. 1, table 4-4). */
const DECIMAL_INDEFINITE = 0xffffc000000000000000n;
const DIGITS = 18n;

/** Eighteen digits; digits beyond nine count as they stand. */
export function fromDecimal(u: Unit, image: bigint): void {
  let value = 0n;
  for (let i = DIGITS - 1n; i >= 0n; i--) value = 10n * value + (image >> (4n * i) & 15n);
  const word = (at: bigint) => Number(BigInt.asIntN(32, value >> at));
  fromInteger(u.r, word(32n), word(0n));
  u.r.negative = Number(image >> 79n & 1n);
}

export function toDecimal(u: Unit, a: Float80): bigint {
  const fits = isFinite(a) && magnitude(u, a, u.rounding) && u.s.significand < MAX_DECIMAL;
  if (!fits) {
    u.flags = STATUS.IE;
    u.roundedUp(false);
    return DECIMAL_INDEFINITE;
  }
  let image = BigInt(a.negative) << 79n;
  let rest = u.s.significand;
  for (let i = 0n; i < DIGITS; i++) {
    image |= rest % 10n << (4n * i);
    rest /= 10n;
  }
  return image;
}

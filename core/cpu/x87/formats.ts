// Floating-point numbers in memory: 32 and 64 bits, to and from 80. A value in memory is two 32-bit halves.
import {
  BIAS,
  type Float80,
  INTEGER_BIT,
  isNan,
  KIND,
  kindOf,
  QUIET_BIT,
  SPECIAL,
} from "./float80.ts";
import { normalize } from "./float80.ts";
import { STATUS } from "./registers.ts";
import { round } from "./rounding.ts";
import type { Unit } from "./unit.ts";

const SINGLE = { bias: 127, special: 0xff } as const;
const DOUBLE = { bias: 1023, special: 0x7ff } as const;

/** Widens 32 bits. A signalling NaN stays one; whether the number is denormal is noted for the operation. */
export function fromSingle(u: Unit, into: Float80, bits: number): void {
  widen(u, into, bits, bits >>> 23 & SINGLE.special, bits << 8, 0, SINGLE);
}

/** Widens 64 bits. */
export function fromDouble(u: Unit, into: Float80, hi: number, lo: number): void {
  widen(u, into, hi, hi >>> 20 & DOUBLE.special, hi << 11 | lo >>> 21, lo << 11, DOUBLE);
}

function widen(
  u: Unit,
  into: Float80,
  top: number,
  stored: number,
  hi: number,
  lo: number,
  { bias, special }: { bias: number; special: number },
): void {
  const negative = top >>> 31;
  hi &= ~INTEGER_BIT;
  if (stored === special) into.set(negative, SPECIAL, hi | INTEGER_BIT, lo);
  else if (stored !== 0) into.set(negative, stored - bias + BIAS, hi | INTEGER_BIT, lo);
  else if ((hi | lo) === 0) into.set(negative, 0, 0, 0);
  else {
    u.denormal = true;
    into.set(negative, 1 - bias + BIAS, hi, lo);
    normalize(into);
  }
}

/** A loaded value becomes the result: signalling NaNs are quieted. */
export function loaded(u: Unit, value: Float80): void {
  const kind = kindOf(value);
  if (kind === KIND.signalling) u.raise(STATUS.IE);
  else if (u.denormal) u.raise(STATUS.DE);
  u.r.copy(value);
  if (isNan(kind)) u.r.hi |= QUIET_BIT;
}

/** Narrows to 32 bits, in `hi` of the second result. */
export function toSingle(u: Unit, a: Float80): void {
  narrow(u, a, 24, SINGLE);
  const { negative, exponent, hi } = u.r;
  u.s.lo = negative << 31 | exponent << 23 | hi >>> 8 & 0x7f_ffff;
}

/** Narrows to 64 bits, in the halves of the second result. */
export function toDouble(u: Unit, a: Float80): void {
  narrow(u, a, 53, DOUBLE);
  const { negative, exponent, hi, lo } = u.r;
  u.s.hi = negative << 31 | exponent << 20 | hi >>> 11 & 0xf_ffff;
  u.s.lo = lo >>> 11 | hi << 21;
}

/** The result gets the narrow format's exponent. */
function narrow(
  u: Unit,
  a: Float80,
  bits: 24 | 53,
  { bias, special }: { bias: number; special: number },
): void {
  const kind = kindOf(a);
  if (kind === KIND.normal || kind === KIND.denormal) {
    normalize(a);
    return round(u, a.negative, a.exponent - BIAS + bias, a.hi, a.lo, 0, bits, special);
  }
  if (kind === KIND.unsupported) u.invalid();
  else u.r.copy(a);
  if (kind === KIND.signalling) u.raise(STATUS.IE);
  if (isNan(kind)) u.r.hi |= QUIET_BIT;
  if (kind !== KIND.zero) u.r.exponent = special;
}

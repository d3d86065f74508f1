// Rounding a result to its format: precision, overflow and underflow with their masked and unmasked responses
// (SDM vol. 1, 4.9.1 and 8.5).
import { type Float80, INTEGER_BIT, shiftRight, SPECIAL } from "./float80.ts";
import { STATUS } from "./registers.ts";
import { type Precision, ROUND, type Unit } from "./unit.ts";

/** Taken off the exponent of an unmasked overflow, added to that of an unmasked underflow. */
const WRAP = 24576;

const EXACT = 0, DOWN = 1, UP = 2;

/**
 * Rounds what is not zero to the result. The significand has its integer bit set and 32 bits after it, the lowest of which also
 * stands for all beyond. `special` is the greatest stored exponent of the format: those narrower than 80 bits are left in the
 * result with their own exponent, and unmasked overflow and underflow of them have no result.
 */
export function round(
  u: Unit,
  negative: number,
  exponent: number,
  hi: number,
  lo: number,
  extension: number,
  bits: Precision,
  special: number = SPECIAL,
): void {
  const { r } = u;
  r.set(negative, exponent, hi, lo);
  if (exponent <= 0 || exponent >= special - 1) return atBounds(u, extension, bits, special);
  noteInexact(u, cut(r, extension, bits, u.rounding));
}

function noteInexact(u: Unit, how: number): void {
  if (how === EXACT) return;
  u.flags |= STATUS.PE;
  u.roundedUp(how === UP);
}

/** Rounds the significand, its exponent unbounded. */
function cut(r: Float80, extension: number, bits: Precision, rounding: number): number {
  let rest, odd;
  if (bits === 64) {
    rest = extension;
    odd = r.lo & 1;
  } else if (bits === 53) {
    rest = r.lo << 21 | (extension === 0 ? 0 : 1);
    odd = r.lo & 0x800;
    r.lo &= ~0x7ff;
  } else {
    rest = r.hi << 24 | ((r.lo | extension) === 0 ? 0 : 1);
    odd = r.hi & 0x100;
    r.hi &= ~0xff;
    r.lo = 0;
  }
  if (rest === 0) return EXACT;
  const up = rounding === ROUND.nearest
    ? rest < 0 && (rest !== INTEGER_BIT || odd !== 0)
    : rounding === (r.negative ? ROUND.down : ROUND.up);
  if (!up) return DOWN;
  if (bits === 24) {
    r.hi = r.hi + 0x100 | 0;
    if (r.hi === 0) carry(r);
    return UP;
  }
  r.lo = r.lo + (bits === 64 ? 1 : 0x800) | 0;
  if (r.lo === 0) {
    r.hi = r.hi + 1 | 0;
    if (r.hi === 0) carry(r);
  }
  return UP;
}

function carry(r: Float80): void {
  r.hi = INTEGER_BIT;
  r.exponent++;
}

/** The exponent is near or beyond its bounds. Tiny is judged after rounding (SDM vol. 1, 4.9.1.5). */
function atBounds(u: Unit, extension: number, bits: Precision, special: number): void {
  const { r } = u;
  const { negative, exponent, hi, lo } = r;
  const how = cut(r, extension, bits, u.rounding);
  if (r.exponent >= special) return overflow(u, how, bits, special);
  if (r.exponent > 0) return noteInexact(u, how);
  if (!u.masks(STATUS.UE)) {
    u.flags |= STATUS.UE;
    r.exponent += WRAP;
    if (r.exponent > 0) return noteInexact(u, how);
    // FSCALE alone goes so far.
    r.set(negative, 0, 0, 0);
    return noteInexact(u, DOWN);
  }
  r.set(negative, exponent, hi, lo);
  const rest = shiftRight(r, 1 - exponent, extension);
  const denormalized = cut(r, rest, bits, u.rounding);
  r.exponent = r.hi < 0 ? 1 : 0;
  if (denormalized !== EXACT) u.flags |= STATUS.UE;
  noteInexact(u, denormalized);
}

function overflow(u: Unit, how: number, bits: Precision, special: number): void {
  const { r } = u;
  u.flags |= STATUS.OE;
  if (!u.masks(STATUS.OE)) {
    r.exponent -= WRAP;
    if (r.exponent < special) return noteInexact(u, how);
    r.set(r.negative, special, INTEGER_BIT, 0);
    return noteInexact(u, UP);
  }
  const away = u.rounding === ROUND.nearest ||
    u.rounding === (r.negative ? ROUND.down : ROUND.up);
  noteInexact(u, away ? UP : DOWN);
  if (away) r.set(r.negative, special, INTEGER_BIT, 0);
  else r.set(r.negative, special - 1, bits === 24 ? -0x100 : -1, LOWEST[bits]);
}

/** Lower half of the greatest significand. */
const LOWEST = { 24: 0, 53: -0x800, 64: -1 } as const;

/** Rounds magnitude x 2^exponent, not zero, to the result. */
export function roundBig(
  u: Unit,
  negative: number,
  magnitude: bigint,
  exponent: number,
  bits: Precision = 64,
): void {
  const length = magnitude.toString(2).length;
  const shift = length - 96;
  let significand = magnitude;
  if (shift > 0) {
    significand = magnitude >> BigInt(shift);
    if (significand << BigInt(shift) !== magnitude) significand |= 1n;
  } else significand <<= BigInt(-shift);
  const word = (at: bigint) => Number(BigInt.asIntN(32, significand >> at));
  // The integer bit weighs 2^(exponent + length - 1).
  round(u, negative, exponent + length - 1 + 16383, word(64n), word(32n), word(0n), bits);
}

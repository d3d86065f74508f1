// A number of the double extended-precision format, taken apart (SDM vol. 1, 4.2.2 and 8.2.2).

export const BIAS = 16383;
/** Exponent of infinities and NaNs as it is stored. */
export const SPECIAL = 0x7fff;
/** The explicit integer bit, and the one that makes a NaN quiet, of the significand's upper half. */
export const INTEGER_BIT = -0x8000_0000, QUIET_BIT = 0x4000_0000;

/** Sorts of numbers. Pseudo-denormals are denormals. */
export const KIND = {
  zero: 0,
  normal: 1,
  denormal: 2,
  infinity: 3,
  quiet: 4,
  signalling: 5,
  /** Pseudo-NaNs, pseudo-infinities and unnormals. */
  unsupported: 6,
} as const;

/** (-1)^negative x 2^(exponent - BIAS - 63) x the significand, whose halves are signed 32-bit integers. */
export class Float80 {
  negative = 0;
  /** As stored; beyond its 15 bits while a number is being worked on. */
  exponent = 0;
  hi = 0;
  lo = 0;

  set(negative: number, exponent: number, hi: number, lo: number): void {
    this.negative = negative;
    this.exponent = exponent;
    this.hi = hi;
    this.lo = lo;
  }
  copy({ negative, exponent, hi, lo }: Float80): void {
    this.set(negative, exponent, hi, lo);
  }
  get significand(): bigint {
    return BigInt(this.hi >>> 0) << 32n | BigInt(this.lo >>> 0);
  }
}

export function isNormal({ exponent, hi }: Float80): boolean {
  return exponent > 0 && exponent < SPECIAL && hi < 0;
}

export function kindOf({ exponent, hi, lo }: Float80): number {
  if (exponent === 0) return (hi | lo) === 0 ? KIND.zero : KIND.denormal;
  if (hi >= 0) return KIND.unsupported;
  if (exponent !== SPECIAL) return KIND.normal;
  if (hi === INTEGER_BIT && lo === 0) return KIND.infinity;
  return hi & QUIET_BIT ? KIND.quiet : KIND.signalling;
}

/** Is one of two kinds no number? */
export function isNan(kind: number): boolean {
  return kind === KIND.quiet || kind === KIND.signalling;
}

/** Order of two significands. */
export function compareSignificands(a: Float80, b: Float80): number {
  if (a.hi !== b.hi) return (a.hi >>> 0) - (b.hi >>> 0);
  return (a.lo >>> 0) - (b.lo >>> 0);
}

/** Brings a finite number, not zero, to a set integer bit. The exponent may fall below 1. */
export function normalize(v: Float80): void {
  if (v.exponent === 0) v.exponent = 1;
  if (v.hi < 0) return;
  if (v.hi === 0) {
    v.hi = v.lo;
    v.lo = 0;
    v.exponent -= 32;
  }
  const by = Math.clz32(v.hi);
  if (by === 0) return;
  v.hi = v.hi << by | v.lo >>> (32 - by);
  v.lo <<= by;
  v.exponent -= by;
}

/**
 * Shifts the significand right. Returns the 32 bits after it, of which the lowest also stands for all that are lost;
 * `extension` is those bits before.
 */
export function shiftRight(v: Float80, count: number, extension = 0): number {
  if (count >= 96) {
    const rest = (v.hi | v.lo | extension) === 0 ? 0 : 1;
    v.hi = v.lo = 0;
    return rest;
  }
  while (count >= 32) {
    extension = v.lo | (extension === 0 ? 0 : 1);
    v.lo = v.hi;
    v.hi = 0;
    count -= 32;
  }
  if (count === 0) return extension;
  const lost = extension << (32 - count) === 0 ? 0 : 1;
  const rest = v.lo << (32 - count) | extension >>> count | lost;
  v.lo = v.lo >>> count | v.hi << (32 - count);
  v.hi >>>= count;
  return rest;
}

// Sums, products, quotients and square roots: of the unit's operands to its result.
import {
  BIAS,
  compareSignificands,
  type Float80,
  INTEGER_BIT,
  isNormal,
  KIND,
  kindOf,
  normalize,
  shiftRight,
} from "./float80.ts";
import { nanOf, nanResult, noteDenormals } from "./operands.ts";
import { STATUS } from "./registers.ts";
import { round, roundBig } from "./rounding.ts";
import { type Precision, ROUND, type Unit } from "./unit.ts";

/** Works out the result from two operands, which it may change. */
export type Binary = (u: Unit, a: Float80, b: Float80, bits: Precision) => void;

export const add: Binary = (u, a, b, bits) => {
  if (u.denormal || !isNormal(a) || !isNormal(b)) {
    if (nanResult(u, a, b)) return;
    const [x, y] = [kindOf(a), kindOf(b)];
    if (x === KIND.infinity && y === KIND.infinity && a.negative !== b.negative) {
      return u.invalid();
    }
    noteDenormals(u, a, b);
    if (x === KIND.infinity) return u.infinity(a.negative);
    if (y === KIND.infinity) return u.infinity(b.negative);
    if (x === KIND.zero && y === KIND.zero) {
      return a.negative === b.negative ? u.zero(a.negative) : exactZero(u);
    }
    // The sum with zero is rounded too: precision control may be narrower.
    if (x === KIND.zero) return roundOnly(u, b, bits);
    if (y === KIND.zero) return roundOnly(u, a, bits);
    normalize(a);
    normalize(b);
  }
  if (a.negative === b.negative) addMagnitudes(u, a, b, bits);
  else subtractMagnitudes(u, a, b, bits);
};

export const subtract: Binary = (u, a, b, bits) => {
  if (b.exponent !== 0x7fff || b.hi === INTEGER_BIT && b.lo === 0) b.negative ^= 1;
  add(u, a, b, bits);
};

function roundOnly(u: Unit, v: Float80, bits: Precision): void {
  normalize(v);
  round(u, v.negative, v.exponent, v.hi, v.lo, 0, bits);
}

function exactZero(u: Unit): void {
  u.zero(u.rounding === ROUND.down ? 1 : 0);
}

function addMagnitudes(u: Unit, a: Float80, b: Float80, bits: Precision): void {
  if (a.exponent < b.exponent) return addMagnitudes(u, b, a, bits);
  let rest = shiftRight(b, a.exponent - b.exponent);
  let lo = a.lo + b.lo | 0;
  const sum = (a.hi >>> 0) + (b.hi >>> 0) + (lo >>> 0 < a.lo >>> 0 ? 1 : 0);
  let hi = sum | 0;
  let { exponent } = a;
  if (sum >= 2 ** 32) {
    rest = lo << 31 | rest >>> 1 | rest & 1;
    lo = lo >>> 1 | hi << 31;
    hi = hi >>> 1 | INTEGER_BIT;
    exponent++;
  }
  round(u, a.negative, exponent, hi, lo, rest, bits);
}

function subtractMagnitudes(u: Unit, a: Float80, b: Float80, bits: Precision): void {
  const apart = a.exponent - b.exponent;
  const order = apart !== 0 ? apart : compareSignificands(a, b);
  if (order === 0) return exactZero(u);
  if (order < 0) return subtractMagnitudes(u, b, a, bits);
  const taken = shiftRight(b, apart);
  let rest = -taken | 0;
  let borrow = taken === 0 ? 0 : 1;
  let lo = (a.lo >>> 0) - (b.lo >>> 0) - borrow;
  borrow = lo < 0 ? 1 : 0;
  lo |= 0;
  let hi = (a.hi >>> 0) - (b.hi >>> 0) - borrow | 0;
  let { exponent } = a;
  while (hi === 0) {
    hi = lo;
    lo = rest;
    rest = 0;
    exponent -= 32;
  }
  const by = Math.clz32(hi);
  if (by > 0) {
    hi = hi << by | lo >>> (32 - by);
    lo = lo << by | rest >>> (32 - by);
    rest <<= by;
    exponent -= by;
  }
  round(u, a.negative, exponent, hi, lo, rest, bits);
}

/** Upper half of a product of unsigned 32-bit integers. */
function upper(x: number, y: number): number {
  const [x0, x1, y0, y1] = [x & 0xffff, x >>> 16, y & 0xffff, y >>> 16];
  const low = Math.imul(x0, y0), cross = Math.imul(x0, y1), other = Math.imul(x1, y0);
  const middle = (low >>> 16) + (cross & 0xffff) + (other & 0xffff);
  return Math.imul(x1, y1) + (cross >>> 16) + (other >>> 16) + (middle >>> 16) | 0;
}

export const multiply: Binary = (u, a, b, bits) => {
  const negative = a.negative ^ b.negative;
  if (u.denormal || !isNormal(a) || !isNormal(b)) {
    if (nanResult(u, a, b)) return;
    const [x, y] = [kindOf(a), kindOf(b)];
    const infinite = x === KIND.infinity || y === KIND.infinity;
    if (infinite && (x === KIND.zero || y === KIND.zero)) return u.invalid();
    noteDenormals(u, a, b);
    if (infinite) return u.infinity(negative);
    if (x === KIND.zero || y === KIND.zero) return u.zero(negative);
    normalize(a);
    normalize(b);
  }
  // Four digits of 32 bits, from the lowest.
  const p0 = Math.imul(a.lo, b.lo);
  const first = (upper(a.lo, b.lo) >>> 0) + (Math.imul(a.hi, b.lo) >>> 0) +
    (Math.imul(a.lo, b.hi) >>> 0);
  const p1 = first | 0;
  const second = Math.floor(first / 2 ** 32) + (upper(a.hi, b.lo) >>> 0) +
    (upper(a.lo, b.hi) >>> 0) + (Math.imul(a.hi, b.hi) >>> 0);
  let lo = second | 0;
  let hi = (upper(a.hi, b.hi) >>> 0) + Math.floor(second / 2 ** 32) | 0;
  let rest = p1;
  let exponent = a.exponent + b.exponent - BIAS + 1;
  if (hi >= 0) {
    hi = hi << 1 | lo >>> 31;
    lo = lo << 1 | rest >>> 31;
    rest = rest << 1 | p0 >>> 31;
    exponent--;
    round(u, negative, exponent, hi, lo, rest | (p0 << 1 === 0 ? 0 : 1), bits);
  } else round(u, negative, exponent, hi, lo, rest | (p0 === 0 ? 0 : 1), bits);
};

export const divide: Binary = (u, a, b, bits) => {
  const negative = a.negative ^ b.negative;
  if (u.denormal || !isNormal(a) || !isNormal(b)) {
    if (nanResult(u, a, b)) return;
    const [x, y] = [kindOf(a), kindOf(b)];
    if (x === y && (x === KIND.infinity || x === KIND.zero)) return u.invalid();
    if (y === KIND.zero && x !== KIND.infinity) {
      u.raise(STATUS.ZE);
      return u.infinity(negative);
    }
    noteDenormals(u, a, b);
    if (x === KIND.infinity) return u.infinity(negative);
    if (y === KIND.infinity || x === KIND.zero) return u.zero(negative);
    normalize(a);
    normalize(b);
  }
  let exponent = a.exponent - b.exponent + BIAS;
  let hi = a.hi, lo = a.lo, carry = 0;
  if (compareSignificands(a, b) < 0) {
    exponent--;
    carry = 1;
    hi = hi << 1 | lo >>> 31;
    lo <<= 1;
  }
  // One bit after the other: the remainder, with a carry, is less than twice the divisor.
  let quotientHi = 0, quotientLo = 0;
  const [top, bottom] = [b.hi >>> 0, b.lo >>> 0];
  for (let i = 0; i < 64; i++) {
    quotientHi = quotientHi << 1 | quotientLo >>> 31;
    quotientLo <<= 1;
    if (carry !== 0 || hi >>> 0 > top || hi >>> 0 === top && lo >>> 0 >= bottom) {
      const borrow = lo >>> 0 < bottom ? 1 : 0;
      lo = lo - b.lo | 0;
      hi = hi - b.hi - borrow | 0;
      quotientLo |= 1;
    }
    carry = hi >>> 31;
    hi = hi << 1 | lo >>> 31;
    lo <<= 1;
  }
  // The remainder has been doubled: against the divisor, it tells where half a bit is.
  const difference = (hi >>> 0) - top || (lo >>> 0) - bottom;
  const rest = carry === 0 && (hi | lo) === 0
    ? 0
    : carry !== 0 || difference > 0
    ? INTEGER_BIT | 1
    : difference === 0
    ? INTEGER_BIT
    : 1;
  round(u, negative, exponent, quotientHi, quotientLo, rest, bits);
};

/** Bits of a root that is rounded afterwards: two more than a significand has would do. */
const ROOT_BITS = 68;

export function squareRoot(u: Unit, a: Float80, bits: Precision): void {
  if (nanOf(u, a)) return;
  const kind = kindOf(a);
  if (kind === KIND.zero) return u.zero(a.negative);
  if (a.negative) return u.invalid();
  noteDenormals(u, a);
  if (kind === KIND.infinity) return u.infinity(0);
  normalize(a);
  const exponent = a.exponent - BIAS - 63;
  let more = 2 * ROOT_BITS - 64;
  if (exponent - more & 1) more++;
  const radicand = a.significand << BigInt(more);
  const root = integerRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  roundBig(u, 0, root << 1n | sticky, (exponent - more) / 2 - 1, bits);
}

/** The largest integer whose square is not larger; Newton's method from a number's root, made too great. */
export function integerRoot(value: bigint): bigint {
  const length = value.toString(16).length * 4;
  const shift = BigInt(Math.max(0, length - 100 + (length & 1)) & ~1);
  let root = BigInt(Math.ceil(Math.sqrt(Number(value >> shift)) * (1 + 2 ** -50)) + 1) <<
    (shift >> 1n);
  for (;;) {
    const next = (root + value / root) >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

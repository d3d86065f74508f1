// The transcendental instructions: what they make of zeros, infinities and NaNs (SDM vol. 2), and rounding.
import { BIAS, type Float80, INTEGER_BIT, KIND, kindOf, SPECIAL } from "./float80.ts";
import { angleOf, cosine, sine, tangent } from "./functions/angles.ts";
import { bitLength, ONE, P, pi, type Real, realOf } from "./functions/fixed.ts";
import { log2, log2OfOnePlus, power2Minus1 } from "./functions/logarithm.ts";
import { nanOf, nanResult, noteDenormals } from "./operands.ts";
import { STATUS } from "./registers.ts";
import { roundBig } from "./rounding.ts";
import type { Unit } from "./unit.ts";

/** Rounds a value. One that is not exact never looks so. */
function finish(u: Unit, { negative, magnitude, exponent, exact }: Real): void {
  if (magnitude === 0n) return u.zero(negative);
  if (exact) roundBig(u, negative, magnitude, exponent);
  else roundBig(u, negative, magnitude << 1n | 1n, exponent - 1);
}

/** A multiple of pi / 4. */
function finishAngle(u: Unit, negative: number, eighths: number): void {
  finish(u, { negative, magnitude: BigInt(eighths) * pi(P), exponent: -P - 2 });
}

/** F2XM1. Beyond -1 to 1 its result is undefined: the operand. */
export function power(u: Unit, a: Float80): void {
  if (nanOf(u, a)) return;
  const kind = kindOf(a);
  if (kind === KIND.infinity) {
    if (!a.negative) return u.infinity(0);
    return u.r.set(1, 16383, -0x8000_0000, 0);
  }
  noteDenormals(u, a);
  if (kind === KIND.zero) return u.zero(a.negative);
  // Exact or not: nobody looks that closely.
  u.raise(STATUS.PE);
  const x = realOf(a);
  const beyond = x.exponent + bitLength(x.magnitude);
  if (beyond > 1 || beyond === 1 && BigInt.asUintN(63, x.magnitude) !== 0n) return u.r.copy(a);
  if (beyond === 1) {
    return finish(u, { ...x, magnitude: a.negative ? 1n : 2n, exponent: -1 });
  }
  finish(u, power2Minus1(x));
}

/** y times a logarithm. */
function times(u: Unit, y: Float80, logarithm: Real): void {
  const factor = realOf(y);
  finish(u, {
    negative: y.negative ^ logarithm.negative,
    magnitude: factor.magnitude * logarithm.magnitude,
    exponent: factor.exponent + logarithm.exponent,
    exact: logarithm.exact ?? false,
  });
  if (logarithm.magnitude !== 0n && factor.magnitude !== 0n) u.raise(STATUS.PE);
}

/** FYL2X: y is ST(1), x is ST(0). */
export function yLogX(u: Unit, y: Float80, x: Float80): void {
  if (nanResult(u, x, y)) return;
  const [m, n] = [kindOf(y), kindOf(x)];
  if (x.negative && n !== KIND.zero) return u.invalid();
  if (n === KIND.zero) {
    if (m === KIND.zero) return u.invalid();
    if (m === KIND.infinity) return u.infinity(y.negative ^ 1);
    u.raise(STATUS.ZE);
    return u.infinity(y.negative ^ 1);
  }
  if (n === KIND.infinity) {
    if (m === KIND.zero) return u.invalid();
    noteDenormals(u, y);
    return u.infinity(y.negative);
  }
  const { magnitude, exponent } = realOf(x);
  const logarithm = log2(magnitude, exponent);
  if (m === KIND.infinity) {
    if (logarithm.magnitude === 0n) return u.invalid();
    noteDenormals(u, x);
    return u.infinity(y.negative ^ logarithm.negative);
  }
  noteDenormals(u, x, y);
  times(u, y, logarithm);
}

/** FYL2XP1. Its range is small; beyond it there are results all the same, where there is a logarithm. */
export function yLogX1(u: Unit, y: Float80, x: Float80): void {
  if (nanResult(u, x, y)) return;
  const [m, n] = [kindOf(y), kindOf(x)];
  if (n === KIND.infinity) {
    if (x.negative || m === KIND.zero) return u.invalid();
    noteDenormals(u, y);
    return u.infinity(y.negative);
  }
  if (m === KIND.infinity) {
    if (n === KIND.zero) return u.invalid();
    noteDenormals(u, x);
    return u.infinity(y.negative ^ x.negative);
  }
  noteDenormals(u, x, y);
  if (n === KIND.zero || m === KIND.zero) return u.zero(x.negative ^ y.negative);
  const real = realOf(x);
  if (x.negative && real.exponent + bitLength(real.magnitude) > 0) {
    u.raise(STATUS.PE);
    return u.r.copy(x);
  }
  times(u, y, log2OfOnePlus(real));
}

/** Angles from 2^63 on are out of range: C2 is set, and nothing changes. */
const OUT_OF_RANGE = 63;

/** What a function of an angle does with an operand: true where that is all. */
function special(u: Unit, a: Float80): boolean {
  if (nanOf(u, a)) return true;
  const kind = kindOf(a);
  if (kind === KIND.infinity) {
    u.invalid();
    return true;
  }
  noteDenormals(u, a);
  return false;
}

/** Is the angle out of range? */
export function isBeyond(u: Unit, a: Float80): boolean {
  const kind = kindOf(a);
  if (kind !== KIND.normal || a.exponent - 16383 < OUT_OF_RANGE) return false;
  u.status |= STATUS.C2;
  return true;
}

const ONE_EXACTLY: Real = { negative: 0, magnitude: ONE, exponent: -P, exact: true };

function ofAngle(
  compute: (x: Real) => Real,
  atZero: (negative: number) => Real,
): (u: Unit, a: Float80) => void {
  return (u, a) => {
    if (special(u, a)) return;
    finish(u, kindOf(a) === KIND.zero ? atZero(a.negative) : compute(realOf(a)));
  };
}
const zero = (negative: number): Real => ({ negative, magnitude: 0n, exponent: 0 });

/** FSIN, FCOS, and FPTAN's first result. */
export const sin = ofAngle(sine, zero);
export const cos = ofAngle(cosine, () => ONE_EXACTLY);
export const tan = ofAngle(tangent, zero);

/** FPATAN: y is ST(1), x is ST(0). */
export function arctangent(u: Unit, y: Float80, x: Float80): void {
  if (nanResult(u, x, y)) return;
  const [m, n] = [kindOf(y), kindOf(x)];
  const { negative } = y;
  const left = x.negative === 1;
  noteDenormals(u, x, y);
  if (m === KIND.infinity) return finishAngle(u, negative, n !== KIND.infinity ? 2 : left ? 3 : 1);
  if (n === KIND.infinity || m === KIND.zero) {
    return left ? finishAngle(u, negative, 4) : u.zero(negative);
  }
  if (n === KIND.zero) return finishAngle(u, negative, 2);
  const [ordinate, abscissa] = [realOf(y), realOf(x)];
  finish(u, { ...angleOf(ordinate, abscissa, left), negative });
}

/** FSINCOS: the cosine is pushed. True: out of range. */
export function sinAndCos(u: Unit, a: Float80): boolean {
  if (isBeyond(u, a)) return true;
  sin(u, a);
  u.s.copy(u.r);
  cos(u, a);
  return false;
}

/** FPTAN: 1.0 is pushed, or a NaN once more. True: out of range. */
export function tanAndOne(u: Unit, a: Float80): boolean {
  if (isBeyond(u, a)) return true;
  tan(u, a);
  u.s.copy(u.r);
  if (u.r.exponent !== SPECIAL) u.r.set(0, BIAS, INTEGER_BIT, 0);
  return false;
}

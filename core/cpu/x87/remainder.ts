// FPREM and FPREM1: a partial remainder, and the low bits of the quotient (SDM vol. 2).
import { type Float80, KIND, kindOf, normalize } from "./float80.ts";
import { nanResult, noteDenormals } from "./operands.ts";
import { STATUS } from "./registers.ts";
import { round, roundBig } from "./rounding.ts";
import type { Unit } from "./unit.ts";

/** Exponents may be so far apart that the remainder is found at once. */
const AT_ONCE = 63;

export function remainder(u: Unit, a: Float80, b: Float80, nearest: boolean): void {
  const { C0, C3 } = STATUS;
  if (nanResult(u, a, b)) return;
  const [x, y] = [kindOf(a), kindOf(b)];
  if (x === KIND.infinity || y === KIND.zero) return u.invalid();
  noteDenormals(u, a, b);
  if (u.stops()) return;
  u.condition(0);
  if (x === KIND.zero) return u.zero(a.negative);
  normalize(a);
  if (y === KIND.infinity) return keep(u, a);
  normalize(b);
  const apart = a.exponent - b.exponent;
  if (apart < -1 || apart === -1 && !nearest) return keep(u, a);
  const { negative } = a;
  // In units of 2^exponent; the dividend may be half a unit finer.
  const [exponent, finer] = [Math.min(a.exponent, b.exponent), apart < 0 ? 1n : 0n];
  const divisor = b.significand << finer;
  if (apart > AT_ONCE) return partly(u, a, b, apart);
  const dividend = a.significand << BigInt(Math.max(0, apart));
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  let sign = negative;
  if (nearest) {
    const twice = 2n * rest;
    if (twice > divisor || twice === divisor && quotient & 1n) {
      quotient++;
      rest = divisor - rest;
      sign ^= 1;
    }
  }
  const bits = Number(quotient & 7n);
  u.condition((bits & 4 ? C0 : 0) | (bits & 2 ? C3 : 0));
  u.roundedUp((bits & 1) !== 0);
  if (rest === 0n) u.zero(negative);
  else finish(u, sign, rest, exponent);
}

/** The dividend is the remainder. */
function keep(u: Unit, a: Float80): void {
  round(u, a.negative, a.exponent, a.hi, a.lo, 0, 64);
}

function finish(u: Unit, negative: number, rest: bigint, exponent: number): void {
  roundBig(u, negative, rest, exponent - 16383 - 63);
}

/** Takes off a multiple of the divisor, so that the exponent falls by 32 to 63 (SDM vol. 2, FPREM). */
function partly(u: Unit, a: Float80, b: Float80, apart: number): void {
  const fall = apart & 31 | 32;
  const rest = (a.significand << BigInt(fall)) % b.significand;
  const exponent = a.exponent - fall;
  u.condition(STATUS.C2);
  if (rest === 0n) u.zero(a.negative);
  else finish(u, a.negative, rest, exponent);
}

// FSCALE and FXTRACT: powers of two, put on and taken off.
import { BIAS, type Float80, INTEGER_BIT, KIND, kindOf, normalize, SPECIAL } from "./float80.ts";
import { nanOf, nanResult, noteDenormals } from "./operands.ts";
import { STATUS } from "./registers.ts";
import { round } from "./rounding.ts";
import type { Unit } from "./unit.ts";

/** Beyond this, every number over- or underflows, whatever its exponent. */
const FAR = 0x10000;

/** FSCALE: a x 2^b, b being truncated to an integer. */
export function scaleBy(u: Unit, b: Float80, a: Float80): void {
  if (nanResult(u, a, b)) return;
  const [x, y] = [kindOf(a), kindOf(b)];
  if (y === KIND.infinity) {
    if (x === (b.negative ? KIND.infinity : KIND.zero)) return u.invalid();
    noteDenormals(u, a);
    return b.negative ? u.zero(a.negative) : u.infinity(a.negative);
  }
  noteDenormals(u, a, b);
  if (x === KIND.infinity || x === KIND.zero) return u.r.copy(a);
  normalize(a);
  const power = truncated(b);
  round(u, a.negative, a.exponent + (b.negative ? -power : power), a.hi, a.lo, 0, 64);
}

function truncated({ exponent, hi }: Float80): number {
  if (exponent < BIAS) return 0;
  return exponent > BIAS + 16 ? FAR : hi >>> (BIAS + 31 - exponent);
}

/** FXTRACT: the exponent goes to the second result, the significand, which is pushed, to the first. */
export function extract(u: Unit, a: Float80): boolean {
  const { r, s } = u;
  if (nanOf(u, a)) {
    s.copy(r);
    return false;
  }
  r.copy(a);
  switch (kindOf(a)) {
    case KIND.infinity:
      s.set(0, SPECIAL, INTEGER_BIT, 0);
      break;
    case KIND.zero:
      u.raise(STATUS.ZE);
      s.set(1, SPECIAL, INTEGER_BIT, 0);
      break;
    default:
      noteDenormals(u, a);
      normalize(r);
      fromSmall(s, r.exponent - BIAS);
      r.exponent = BIAS;
  }
  return false;
}

function fromSmall(into: Float80, value: number): void {
  const size = Math.abs(value);
  if (size === 0) return into.set(0, 0, 0, 0);
  const by = Math.clz32(size);
  into.set(value < 0 ? 1 : 0, BIAS + 31 - by, size << by, 0);
}

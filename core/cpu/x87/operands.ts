// What operations do about operands that are no plain numbers (SDM vol. 1, 4.8.3.5 and table 4-7).
import { compareSignificands, type Float80, isNan, KIND, kindOf, QUIET_BIT } from "./float80.ts";
import { STATUS } from "./registers.ts";
import type { Unit } from "./unit.ts";

/**
 * Unsupported operands and NaNs: the result is set, and the answer true. Of two NaNs the one with the larger significand is the
 * result, but a quiet one before a signalling one.
 */
export function nanResult(u: Unit, a: Float80, b: Float80): boolean {
  const [x, y] = [kindOf(a), kindOf(b)];
  if (x === KIND.unsupported || y === KIND.unsupported) {
    u.invalid();
    return true;
  }
  if (!isNan(x) && !isNan(y)) return false;
  if (x === KIND.signalling || y === KIND.signalling) u.raise(STATUS.IE);
  u.r.copy(chosen(a, x, b, y));
  u.r.hi |= QUIET_BIT;
  return true;
}

function chosen(a: Float80, x: number, b: Float80, y: number): Float80 {
  if (!isNan(y)) return a;
  if (!isNan(x)) return b;
  if (x === KIND.signalling && y === KIND.quiet) return b;
  if (x === KIND.quiet && y === KIND.signalling) return a;
  const order = compareSignificands(a, b);
  if (order !== 0) return order > 0 ? a : b;
  return a.negative ? b : a;
}

/** As `nanResult`, of one operand. */
export function nanOf(u: Unit, a: Float80): boolean {
  return nanResult(u, a, a);
}

/** Notes denormal operands: ranks below what is invalid. */
export function noteDenormals(u: Unit, a: Float80, b: Float80 = a): void {
  if (u.denormal || kindOf(a) === KIND.denormal || kindOf(b) === KIND.denormal) {
    u.raise(STATUS.DE);
  }
}

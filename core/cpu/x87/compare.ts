// The order of two numbers, and what FXAM tells of one.
import {
  compareSignificands,
  type Float80,
  isNan,
  isNormal,
  KIND,
  kindOf,
  normalize,
} from "./float80.ts";
import { noteDenormals } from "./operands.ts";
import { STATUS } from "./registers.ts";
import type { Unit } from "./unit.ts";

export const ORDER = { equal: 0, greater: 1, less: -1, unordered: 2 } as const;

/** One of ORDER. `quiet`: do QNaNs pass without an exception? */
export function compare(u: Unit, a: Float80, b: Float80, quiet: boolean): number {
  if (u.denormal || !isNormal(a) || !isNormal(b)) {
    const [x, y] = [kindOf(a), kindOf(b)];
    const unsupported = x === KIND.unsupported || y === KIND.unsupported;
    if (unsupported || isNan(x) || isNan(y)) {
      const silent = quiet && !unsupported && x !== KIND.signalling && y !== KIND.signalling;
      if (!silent) u.raise(STATUS.IE);
      return ORDER.unordered;
    }
    noteDenormals(u, a, b);
    if (x === KIND.zero) return y === KIND.zero ? 0 : b.negative ? 1 : -1;
    if (y === KIND.zero) return a.negative ? -1 : 1;
    if (x === KIND.denormal) normalize(a);
    if (y === KIND.denormal) normalize(b);
  }
  if (a.negative !== b.negative) return a.negative ? -1 : 1;
  const apart = a.exponent - b.exponent || compareSignificands(a, b);
  return apart === 0 ? 0 : (apart > 0) === (a.negative === 0) ? 1 : -1;
}

const { C0, C1, C2, C3 } = STATUS;

/** C3, C2 and C0 for an order (SDM vol. 1, table 8-6). */
export function orderCondition(order: number): number {
  switch (order) {
    case ORDER.equal:
      return C3;
    case ORDER.greater:
      return 0;
    case ORDER.less:
      return C0;
    default:
      return C0 | C2 | C3;
  }
}

/** By KIND (SDM vol. 2, FXAM). */
const EXAMINED = [C3, C2, C3 | C2, C2 | C0, C0, C0, 0];

/** FXAM: class and sign of ST(0). */
export function examine(u: Unit): void {
  u.read(0, u.a);
  u.condition(u.isEmpty(0) ? C3 | C0 : EXAMINED[kindOf(u.a)] ?? 0);
  if (u.a.negative) u.status |= C1;
}

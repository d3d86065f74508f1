// Operands of x87 instructions in memory, as they stand at X87_OPERAND on their way in and out.
import { X87_OPERAND } from "../layout.ts";
import type { Float80 } from "./float80.ts";
import { fromDouble, fromSingle } from "./formats.ts";
import { fromDecimal, fromInteger } from "./integers.ts";
import type { Unit } from "./unit.ts";

/** What an operand in memory is. */
export type Operand = "single" | "double" | "extended" | "decimal" | 2 | 4 | 8;

/** Bytes that an operand has. */
export const BYTES: Record<Operand, number> = {
  single: 4,
  double: 8,
  extended: 10,
  decimal: 10,
  2: 2,
  4: 4,
  8: 8,
};

const half = (u: Unit, index: 0 | 1) => u.view.getInt32(X87_OPERAND + 4 * index, true);

/** Takes an operand apart; of narrower formats, the unit notes what is denormal there. */
export function fetch(u: Unit, into: Float80, operand: Operand): void {
  const { view } = u;
  switch (operand) {
    case "single":
      return fromSingle(u, into, half(u, 0));
    case "double":
      return fromDouble(u, into, half(u, 1), half(u, 0));
    case 2: {
      const value = view.getInt16(X87_OPERAND, true);
      return fromInteger(into, value >> 31, value);
    }
    case 4:
      return fromInteger(into, half(u, 0) >> 31, half(u, 0));
    case 8:
      return fromInteger(into, half(u, 1), half(u, 0));
    case "extended": {
      const upper = view.getUint16(X87_OPERAND + 8, true);
      return into.set(upper >> 15, upper & 0x7fff, half(u, 1), half(u, 0));
    }
    case "decimal":
      return fromDecimal(
        u,
        view.getBigUint64(X87_OPERAND, true) |
          BigInt(view.getUint16(X87_OPERAND + 8, true)) << 64n,
      );
    default:
      return operand satisfies never;
  }
}

/** Puts the unit's second result there: its significand's halves. */
export function put(u: Unit): void {
  u.view.setInt32(X87_OPERAND, u.s.lo, true);
  u.view.setInt32(X87_OPERAND + 4, u.s.hi, true);
}

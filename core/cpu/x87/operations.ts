// Kinds of x87 instructions, as what they do to the unit. Operands in memory come and go by X87_OPERAND; whoever calls this
// moves them, and settles the unit after a store that did not fault.
import { RFLAGS } from "../../base/registers.ts";
import { SIMD_FLAGS, X87_OPERAND } from "../layout.ts";
import type { Binary } from "./arithmetic.ts";
import { compare, ORDER, orderCondition } from "./compare.ts";
import { constant, CONSTANTS } from "./constants.ts";
import type { Float80 } from "./float80.ts";
import { loaded, toDouble, toSingle } from "./formats.ts";
import { toDecimal, toInteger } from "./integers.ts";
import { BYTES, fetch, type Operand, put } from "./memory_operands.ts";
import { AT, STATUS } from "./registers.ts";
import { isBeyond } from "./transcendental.ts";
import type { Unit } from "./unit.ts";

export interface Operation {
  /** Does an operand in memory get read, or written? */
  readonly memory?: "load" | "store";
  /** Bytes of it. */
  readonly bytes: number;
  /** Is a pending exception raised first? */
  readonly waits: boolean;
  /** Does it count as the last instruction, for the pointers? */
  readonly counts: boolean;
  readonly flags?: "reads" | "writes";
  /** `i` is the number of the other register than ST(0). A store answers whether there is something to be stored. */
  readonly work: (u: Unit, i: number) => boolean | void;
}

// ---- Kinds of instructions -------------------------------------------------------------------------------------------

interface Form {
  readonly operand?: Operand | undefined;
  /** The result goes to ST(i). */
  readonly toOther?: boolean;
  readonly reversed?: boolean;
  readonly pops?: number;
}

const ordinary = { bytes: 0, waits: true, counts: true } as const;

export function arithmetic(compute: Binary, { operand, toOther, reversed, pops }: Form): Operation {
  const work = (u: Unit, i: number) => {
    const { a, b } = u;
    const to = toOther ? i : 0;
    if (!u.lacks(0) && (operand !== undefined || !u.lacks(i))) {
      u.read(to, a);
      if (operand === undefined) u.read(toOther ? 0 : i, b);
      else fetch(u, b, operand);
      if (reversed) compute(u, b, a, u.precision);
      else compute(u, a, b, u.precision);
    }
    if (u.stops()) return;
    u.write(to, u.r);
    if (pops) u.pop();
  };
  return operand === undefined
    ? { ...ordinary, work }
    : { ...ordinary, memory: "load", bytes: BYTES[operand], work };
}

/** Order of ST(0) and the other operand, as the unit has it afterwards. */
function orderOf(u: Unit, i: number, operand: Operand | undefined, quiet: boolean): number {
  if (u.lacks(0) || operand === undefined && u.lacks(i)) return ORDER.unordered;
  u.read(0, u.a);
  if (operand === undefined) u.read(i, u.b);
  else fetch(u, u.b, operand);
  return compare(u, u.a, u.b, quiet);
}

export function comparison(quiet: boolean, { operand, pops = 0 }: Form): Operation {
  const work = (u: Unit, i: number) => {
    u.condition(orderCondition(orderOf(u, i, operand, quiet)));
    if (u.stops()) return;
    for (let n = 0; n < pops; n++) u.pop();
  };
  return operand === undefined
    ? { ...ordinary, work }
    : { ...ordinary, memory: "load", bytes: BYTES[operand], work };
}

const { ZF, PF, CF } = RFLAGS;

/** FCOMI and its kin. */
export function flagComparison(quiet: boolean, { pops }: Form): Operation {
  return {
    ...ordinary,
    flags: "writes",
    work: (u, i) => {
      const order = orderOf(u, i, undefined, quiet);
      const flags = order === ORDER.unordered
        ? ZF | PF | CF
        : order === ORDER.equal
        ? ZF
        : order === ORDER.less
        ? CF
        : 0;
      u.view.setUint32(SIMD_FLAGS, flags, true);
      if (!u.stops() && pops) u.pop();
    },
  };
}

/** Something made of ST(0) alone, in its place. */
export function unary(compute: (u: Unit, a: Float80) => void): Operation {
  return {
    ...ordinary,
    work: (u) => {
      if (!u.lacks(0)) {
        u.read(0, u.a);
        compute(u, u.a);
      }
      if (!u.stops()) u.write(0, u.r);
    },
  };
}

/** A function of an angle, which may be out of range. */
export function ofAngle(compute: (u: Unit, a: Float80) => void): Operation {
  return {
    ...ordinary,
    work: (u) => {
      u.status &= ~STATUS.C2;
      if (!u.lacks(0)) {
        u.read(0, u.a);
        if (isBeyond(u, u.a)) return;
        compute(u, u.a);
      }
      if (!u.stops()) u.write(0, u.r);
    },
  };
}

/** Something made of ST(0) and ST(1). With `pops`, it takes the place of both. */
export function ofTwo(
  compute: (u: Unit, upper: Float80, top: Float80) => void,
  pops: boolean,
  partial = false,
): Operation {
  return {
    ...ordinary,
    work: (u) => {
      if (partial) u.status &= ~STATUS.C2;
      if (!u.lacks(0) && !u.lacks(1)) {
        u.read(1, u.b);
        u.read(0, u.a);
        compute(u, u.b, u.a);
      }
      if (u.stops()) return;
      if (pops) u.pop();
      u.write(0, u.r);
    },
  };
}

/** Two results, of an angle or not: one in the place of ST(0), one pushed. `compute` leaves them in `s` and `r`; true: neither. */
export function pair(compute: (u: Unit, a: Float80) => boolean, angles: boolean): Operation {
  return {
    ...ordinary,
    work: (u) => {
      if (angles) u.status &= ~STATUS.C2;
      if (u.lacks(0)) u.s.copy(u.r);
      else if (!u.isEmpty(-1)) {
        u.raise(STATUS.IE | STATUS.SF);
        u.roundedUp(true);
        u.indefinite();
        u.s.copy(u.r);
      } else {
        u.read(0, u.a);
        if (compute(u, u.a)) return;
      }
      if (u.stops()) return;
      u.write(0, u.s);
      u.turn(-1);
      u.write(0, u.r);
    },
  };
}

export function load(operand: Operand): Operation {
  const exact = operand === "extended" || operand === "decimal";
  const work = (u: Unit) => {
    fetch(u, operand === "decimal" ? u.r : u.a, operand);
    if (operand === "extended") u.r.copy(u.a);
    // Where there is no room, the operand is not looked at. A denormal one is loaded although that is an exception.
    if (!exact && u.isEmpty(-1)) loaded(u, u.a);
    if (u.masks(u.flags & STATUS.IE)) u.push(u.r);
  };
  return { ...ordinary, memory: "load", bytes: BYTES[operand], work };
}

const BEYOND = STATUS.OE | STATUS.UE;

export function store(operand: Operand, { pops = 0 }: Form, truncate = false): Operation {
  const work = (u: Unit) => {
    const empty = u.lacks(0);
    if (empty) u.a.copy(u.r);
    else u.read(0, u.a);
    const { view } = u;
    switch (operand) {
      case "single":
        toSingle(u, u.a);
        put(u);
        break;
      case "double":
        toDouble(u, u.a);
        put(u);
        break;
      case "extended":
        view.setInt32(X87_OPERAND, u.a.lo, true);
        view.setInt32(X87_OPERAND + 4, u.a.hi, true);
        view.setUint16(X87_OPERAND + 8, u.a.negative << 15 | u.a.exponent, true);
        break;
      case "decimal": {
        const image = toDecimal(u, u.a);
        view.setBigUint64(X87_OPERAND, BigInt.asUintN(64, image), true);
        view.setUint16(X87_OPERAND + 8, Number(image >> 64n), true);
        break;
      }
      default:
        toInteger(u, u.a, operand, truncate);
        put(u);
    }
    if (empty) u.raise(STATUS.SF);
    if (u.stops()) return false;
    if (!u.masks(u.flags & BEYOND)) {
      u.flags &= ~STATUS.PE;
      u.roundedUp(false);
      return false;
    }
    if (pops) u.pop();
    return true;
  };
  return { ...ordinary, memory: "store", bytes: BYTES[operand], work };
}

/** To another register. */
export function copyTo({ pops }: Form): Operation {
  return {
    ...ordinary,
    work: (u, i) => {
      if (!u.lacks(0)) u.read(0, u.r);
      if (u.stops()) return;
      u.write(i, u.r);
      if (pops) u.pop();
    },
  };
}

export const loadRegister: Operation = {
  ...ordinary,
  work: (u, i) => {
    if (!u.lacks(i)) u.read(i, u.r);
    if (u.stops()) return;
    // An empty register counts before one that is in the way.
    const empty = (u.flags & STATUS.SF) !== 0;
    u.push(u.r);
    if (empty) u.roundedUp(false);
  },
};

export const exchange: Operation = {
  ...ordinary,
  work: (u, i) => {
    for (const [n, into] of [[0, u.a], [i, u.b]] as const) {
      if (u.lacks(n)) into.copy(u.r);
      else u.read(n, into);
    }
    if (u.stops()) return;
    u.write(0, u.b);
    u.write(i, u.a);
  },
};

export const loadConstant = (name: keyof typeof CONSTANTS): Operation => ({
  ...ordinary,
  work: (u) => {
    constant(u.r, CONSTANTS[name], u.rounding);
    u.push(u.r);
  },
});

/** FCMOVcc: flags are where FCOMI leaves them. */
export function move(mask: number, wanted: boolean): Operation {
  return {
    ...ordinary,
    flags: "reads",
    work: (u, i) => {
      const c1 = u.view.getUint16(AT.status, true) & STATUS.C1;
      const holds = (u.view.getUint32(SIMD_FLAGS, true) & mask) !== 0;
      const empty = u.lacks(0) || u.lacks(i);
      if (!empty) u.status |= c1;
      if (!empty && holds !== wanted) return;
      if (!empty) u.read(i, u.r);
      if (!u.stops()) u.write(0, u.r);
    },
  };
}

export const plain = (work: (u: Unit, i: number) => void): Operation => ({ ...ordinary, work });
/** An instruction that controls the FPU: the pointers stay, and so does C1. */
export function control(work: (u: Unit) => void, waits = false): Operation {
  return {
    bytes: 0,
    waits,
    counts: false,
    work: (u) => {
      u.status = u.view.getUint16(AT.status, true);
      work(u);
    },
  };
}

/** Stores a word of the state. */
export function storeWord(at: number): Operation {
  return {
    memory: "store",
    bytes: 2,
    waits: false,
    counts: false,
    work: (u) => {
      u.status = u.view.getUint16(AT.status, true);
      u.view.setUint16(X87_OPERAND, u.view.getUint16(at, true), true);
      return true;
    },
  };
}

// Floating-point arithmetic and comparison, straight on WebAssembly's where that gives the same bits and no exception flag that
// MXCSR has not got yet; everything else goes to TypeScript, which is exact (./computed.ts).
//
// WebAssembly rounds to the nearest even, says nothing of exceptions and may give any NaN. So its result is taken only when
// MXCSR rounds that way, masks all exceptions and has the precision flag already, and when operands and result are zero or
// normal in every element: then there is no NaN and no infinity, and no other flag to set. A program meets its first inexact
// result early; before that, and while it makes exceptions, it runs slower, never otherwise.
import { Mnemonic as N, Register } from "iced-x86";
import * as L from "../../layout.ts";
import type { Translation } from "../translation.ts";
import type { Local } from "../wasm.ts";
import { computeInTypeScript, twoWays } from "./computed.ts";
import { constant, lane, repeated, shuffle, vector, type VectorOp } from "./opcodes.ts";
import { type Emit, type Entries, I64, immediateOf, setVector, V128 } from "./vectors.ts";

/** Masks set, rounding to nearest, denormals as they are, precision flag set; the other flags do not matter. */
const MXCSR_RELEVANT = 0xffe0, MXCSR_FAST = 0x1fa0;

/** Elements of a format: sign, smallest normal number, infinity, 1.0, and the instructions for them. */
interface Shape {
  readonly bits: 32 | 64;
  readonly sign: bigint;
  readonly lowest: bigint;
  readonly infinite: bigint;
  readonly one: bigint;
  readonly name: "f32x4" | "f64x2";
  readonly greater: VectorOp;
  readonly equal: VectorOp;
}
const SINGLE: Shape = {
  bits: 32,
  sign: 1n << 31n,
  lowest: 1n << 23n,
  infinite: 0xffn << 23n,
  one: 0x7fn << 23n,
  name: "f32x4",
  greater: "i32x4_gt_s",
  equal: "i32x4_eq",
};
const DOUBLE: Shape = {
  bits: 64,
  sign: 1n << 63n,
  lowest: 1n << 52n,
  infinite: 0x7ffn << 52n,
  one: 0x3ffn << 52n,
  name: "f64x2",
  greater: "i64x2_gt_s",
  equal: "i64x2_eq",
};

/** Leaves all ones where an element is zero. */
function isZero({ f }: Translation, shape: Shape, value: Local): void {
  f.get(value);
  repeated(f, shape.bits, ~shape.sign);
  vector(f, "v128_and");
  constant(f, 0n);
  vector(f, shape.equal);
}

/** Leaves all ones where an element is normal and not the smallest of them, which may have been rounded up to. */
function isNormal({ f }: Translation, shape: Shape, value: Local): void {
  f.get(value);
  repeated(f, shape.bits, ~shape.sign);
  vector(f, "v128_and");
  repeated(f, shape.bits, shape.lowest);
  vector(f, shape.greater);
  repeated(f, shape.bits, shape.infinite);
  f.get(value);
  repeated(f, shape.bits, ~shape.sign);
  vector(f, "v128_and", shape.greater, "v128_and");
}

function isNormalOrZero(t: Translation, shape: Shape, value: Local): void {
  isNormal(t, shape, value);
  isZero(t, shape, value);
  vector(t.f, "v128_or");
}

/** Leaves an i32: is the vector on the stack not all ones? */
function notAll({ f }: Translation): void {
  vector(f, "v128_not", "v128_any_true");
}

/** Leaves `value` with its first element alone, and 1.0 in the others: they are not looked at. */
function onlyFirst({ f }: Translation, shape: Shape, value: Local): void {
  f.get(value);
  repeated(f, shape.bits, shape.one);
  shuffle(f, firstOf(shape));
  f.set(value);
}

/** The first element of the one vector, the rest of the other. */
const firstOf = ({ bits }: Shape) =>
  Array.from({ length: 16 }, (_, i) => i < bits / 8 ? i : 16 + i);

/** Operands as the fast way looks at them, in locals of its own. */
function inspected(
  t: Translation,
  shape: Shape,
  scalar: boolean,
  [a, b]: readonly [Local, Local],
  use: (x: Local, y: Local, result: Local) => void,
): void {
  const { f } = t;
  const [x, y, result] = [f.temporary(V128), f.temporary(V128), f.temporary(V128)];
  for (const [from, to] of [[a, x], [b, y]] as const) {
    f.get(from);
    f.set(to);
    if (scalar) onlyFirst(t, shape, to);
  }
  use(x, y, result);
  f.release(V128, x, y, result);
}

/** Operand 0 becomes the result, or its first element does. */
function keep(t: Translation, shape: Shape, scalar: boolean, a: Local, result: Local): void {
  const { f } = t;
  if (scalar) {
    f.get(result);
    f.get(a);
    shuffle(f, firstOf(shape));
    f.set(result);
  }
  setVector(t, t.site.insn.op0Register, result);
}

type Operation = "add" | "sub" | "mul" | "div" | "sqrt";

const arithmetic = (operation: Operation, shape: Shape, scalar: boolean): Emit => (t) => {
  const { f } = t;
  twoWays(t, (a, b, slow) => {
    f.i32(0);
    f.memory("i32_load", L.MXCSR);
    f.i32(MXCSR_RELEVANT);
    f.op("i32_and");
    f.i32(MXCSR_FAST);
    f.op("i32_ne");
    slow();
    inspected(t, shape, scalar, [a, b], (x, y, result) => {
      if (operation !== "sqrt") f.get(x);
      f.get(y);
      vector(f, `${shape.name}_${operation}`);
      f.set(result);
      isNormalOrZero(t, shape, y);
      if (operation !== "sqrt") {
        isNormalOrZero(t, shape, x);
        vector(f, "v128_and");
      }
      isNormal(t, shape, result);
      isZero(t, shape, result);
      // A product or quotient of what is not zero is zero only by underflow.
      if (operation === "mul" || operation === "div") {
        isZero(t, shape, x);
        if (operation === "mul") {
          isZero(t, shape, y);
          vector(f, "v128_or");
        }
        vector(f, "v128_and");
      }
      vector(f, "v128_or", "v128_and");
      notAll(t);
      slow();
      keep(t, shape, scalar, a, result);
    });
  });
};

/** What is compared without an exception, whatever MXCSR says: zeros and normal numbers. */
const comparison = (
  shape: Shape,
  scalar: boolean,
  compute: (t: Translation, x: Local, y: Local) => void,
): Emit =>
(t) => {
  const { f } = t;
  twoWays(t, (a, b, slow) => {
    inspected(t, shape, scalar, [a, b], (x, y, result) => {
      isNormalOrZero(t, shape, x);
      isNormalOrZero(t, shape, y);
      vector(f, "v128_and");
      notAll(t);
      slow();
      compute(t, x, y);
      f.set(result);
      keep(t, shape, scalar, a, result);
    });
  });
};

/** MINxx, MAXxx: the second operand where they are equal. */
const extreme = (least: boolean, shape: Shape, scalar: boolean): Emit =>
  comparison(shape, scalar, ({ f }, x, y) => {
    f.get(x);
    f.get(y);
    f.get(x);
    f.get(y);
    vector(f, `${shape.name}_${least ? "lt" : "gt"}`, "v128_bitselect");
  });

/** CMPxx, of numbers that have an order: predicates as in SDM vol. 2, table 3-1. */
const compare = (shape: Shape, scalar: boolean): Emit =>
  comparison(shape, scalar, (t, x, y) => {
    const { f } = t;
    const predicate = immediateOf(t) & 7;
    const name = (["eq", "lt", "le"] as const)[predicate & 3];
    if (name) {
      f.get(x);
      f.get(y);
      vector(f, `${shape.name}_${name}`);
    } else constant(f, 0n);
    if (predicate & 4) vector(f, "v128_not");
  });

/** COMISx, UCOMISx: CF where less, ZF where equal. */
const order = (shape: Shape): Emit => (t) => {
  const { f } = t;
  const flags = f.temporary(I64);
  twoWays(t, (a, b, slow) => {
    inspected(t, shape, true, [a, b], (x, y) => {
      isNormalOrZero(t, shape, x);
      isNormalOrZero(t, shape, y);
      vector(f, "v128_and");
      notAll(t);
      slow();
      for (const [name, mask] of [["lt", 1], ["eq", 0x40]] as const) {
        f.get(x);
        f.get(y);
        vector(f, `${shape.name}_${name}`);
        lane(f, "i64x2_extract_lane", 0);
        f.i64(mask);
        f.op("i64_and");
      }
      f.op("i64_or");
      f.set(flags);
    });
  }, (a, b) => {
    computeInTypeScript(t, a, b, Register.None);
    f.i32(0);
    f.memory("i64_load", L.SIMD_FLAGS);
    f.set(flags);
  });
  f.get(flags);
  t.setFlagBits();
  f.release(I64, flags);
};

/** Packed and scalar instructions of both formats: PS, SS, PD, SD. */
const four = (
  names: readonly [N, N, N, N],
  emit: (shape: Shape, scalar: boolean) => Emit,
): Entries => names.map((name, i) => [name, emit(i < 2 ? SINGLE : DOUBLE, i % 2 === 1)]);

export const FLOAT: Entries = [
  ...four([N.Addps, N.Addss, N.Addpd, N.Addsd], (s, one) => arithmetic("add", s, one)),
  ...four([N.Subps, N.Subss, N.Subpd, N.Subsd], (s, one) => arithmetic("sub", s, one)),
  ...four([N.Mulps, N.Mulss, N.Mulpd, N.Mulsd], (s, one) => arithmetic("mul", s, one)),
  ...four([N.Divps, N.Divss, N.Divpd, N.Divsd], (s, one) => arithmetic("div", s, one)),
  ...four([N.Sqrtps, N.Sqrtss, N.Sqrtpd, N.Sqrtsd], (s, one) => arithmetic("sqrt", s, one)),
  ...four([N.Minps, N.Minss, N.Minpd, N.Minsd], (s, one) => extreme(true, s, one)),
  ...four([N.Maxps, N.Maxss, N.Maxpd, N.Maxsd], (s, one) => extreme(false, s, one)),
  ...four([N.Cmpps, N.Cmpss, N.Cmppd, N.Cmpsd], compare),
  [N.Comiss, order(SINGLE)],
  [N.Ucomiss, order(SINGLE)],
  [N.Comisd, order(DOUBLE)],
  [N.Ucomisd, order(DOUBLE)],
];

// The conversions that compilers write for casts, straight on WebAssembly's where they are exact, or where inexactness is
// noted already; see float.ts for why, and computed.ts for all the rest.
import { Mnemonic as N, RegisterExt } from "iced-x86";
import * as L from "../../layout.ts";
import type { Size } from "../translation.ts";
import { integerSize, twoWays } from "./computed.ts";
import { lane, type VectorOp } from "./opcodes.ts";
import { type Emit, type Entries, I64, setVector } from "./vectors.ts";

/** MXCSR: precision exception noted, and masked. */
const PRECISION_NOTED = 0x1020;

interface Format {
  readonly single: boolean;
  /** Integers of so many bits, and a sign, fit exactly. */
  readonly precision: number;
  readonly sign: bigint;
  readonly lowest: bigint;
  /** 2^31 and 2^63. */
  readonly bound: Readonly<Record<4 | 8, bigint>>;
  readonly replace: VectorOp;
}
const SINGLE: Format = {
  single: true,
  precision: 24,
  sign: 1n << 31n,
  lowest: 1n << 23n,
  bound: { 4: 0x4f00_0000n, 8: 0x5f00_0000n },
  replace: "f32x4_replace_lane",
};
const DOUBLE: Format = {
  single: false,
  precision: 53,
  sign: 1n << 63n,
  lowest: 1n << 52n,
  bound: { 4: 0x41e0_0000_0000_0000n, 8: 0x43e0_0000_0000_0000n },
  replace: "f64x2_replace_lane",
};

/** CVTSI2SS, CVTSI2SD: integers that have no more bits than the format. */
const fromInteger = (format: Format): Emit => (t) => {
  const { f } = t;
  const value = f.temporary(I64);
  twoWays(t, (a, b, slow) => {
    f.get(b);
    lane(f, "i64x2_extract_lane", 0);
    t.signExtend(integerSize(t) as Size);
    f.set(value);
    f.get(value);
    f.i64(1n << BigInt(format.precision));
    f.op("i64_add");
    f.i64(2n << BigInt(format.precision));
    f.op("i64_gt_u");
    slow();
    f.get(a);
    f.get(value);
    f.op(format.single ? "f32_convert_i64_s" : "f64_convert_i64_s");
    lane(f, format.replace, 0);
    f.set(a);
    setVector(t, t.site.insn.op0Register, a);
  });
  f.release(I64, value);
};

/** CVTTSS2SI, CVTTSD2SI: zeros and normal numbers in range. */
const truncate = (format: Format): Emit => (t) => {
  const { f } = t;
  const size = RegisterExt.size(t.site.insn.op0Register) === 8 ? 8 : 4;
  const [bits, magnitude, result] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
  const number = () => {
    f.get(bits);
    if (format.single) f.op("i32_wrap_i64", "f32_reinterpret_i32");
    else f.op("f64_reinterpret_i64");
  };
  twoWays(t, (_, b, slow) => {
    f.get(b);
    if (format.single) {
      lane(f, "i32x4_extract_lane", 0);
      f.op("i64_extend_i32_u");
    } else lane(f, "i64x2_extract_lane", 0);
    f.set(bits);
    f.get(bits);
    f.i64(format.sign - 1n);
    f.op("i64_and");
    f.set(magnitude);
    // Denormals, and what is out of range or no number.
    f.get(magnitude);
    f.i64(1);
    f.op("i64_sub");
    f.i64(format.lowest - 1n);
    f.op("i64_lt_u");
    slow();
    f.get(magnitude);
    f.i64(format.bound[size]);
    f.op("i64_ge_u");
    slow();
    number();
    f.op(format.single ? "i64_trunc_f32_s" : "i64_trunc_f64_s");
    f.set(result);
    f.get(result);
    f.op(format.single ? "f32_convert_i64_s" : "f64_convert_i64_s");
    number();
    f.op(format.single ? "f32_eq" : "f64_eq", "i32_eqz");
    f.i32(0);
    f.memory("i32_load", L.MXCSR);
    f.i32(PRECISION_NOTED);
    f.op("i32_and");
    f.i32(PRECISION_NOTED);
    f.op("i32_ne", "i32_and");
    slow();
    f.get(result);
    t.cut(size);
    t.setRegister(t.site.insn.op0Register);
  });
  f.release(I64, bits, magnitude, result);
};

export const CONVERSIONS: Entries = [
  [N.Cvtsi2ss, fromInteger(SINGLE)],
  [N.Cvtsi2sd, fromInteger(DOUBLE)],
  [N.Cvttss2si, truncate(SINGLE)],
  [N.Cvttsd2si, truncate(DOUBLE)],
];

// Shifts of elements by a count in a vector or an immediate, and of whole registers by bytes.
import { Mnemonic as N, OpKind } from "iced-x86";
import { constant, lane, shuffle, vector } from "./opcodes.ts";
import { type Emit, type Entries, I64, operation } from "./vectors.ts";

const NAMES = {
  16: { left: "i16x8_shl", right: "i16x8_shr_u", signed: "i16x8_shr_s" },
  32: { left: "i32x4_shl", right: "i32x4_shr_u", signed: "i32x4_shr_s" },
  64: { left: "i64x2_shl", right: "i64x2_shr_u", signed: "i64x2_shr_s" },
} as const;

/** A count of more bits than there are gives zero, or the sign where that is shifted in. */
const shift = (bits: 16 | 32 | 64, kind: "left" | "right" | "signed"): Emit =>
  operation(({ t, a, b, immediate }) => {
    const { f } = t;
    const count = f.temporary(I64);
    if (t.site.insn.op1Kind === OpKind.Immediate8) f.i64(immediate);
    else {
      f.get(b);
      lane(f, "i64x2_extract_lane", 0);
    }
    f.set(count);
    if (kind === "signed") {
      f.i64(bits - 1);
      f.get(count);
      f.get(count);
      f.i64(bits - 1);
      f.op("i64_gt_u", "select");
      f.set(count);
    }
    f.get(a);
    f.get(count);
    f.op("i32_wrap_i64");
    vector(f, NAMES[bits][kind]);
    if (kind !== "signed") {
      // All ones where the count is small enough.
      f.i64(0);
      f.get(count);
      f.i64(bits);
      f.op("i64_lt_u", "i64_extend_i32_u", "i64_sub");
      vector(f, "i64x2_splat", "v128_and");
    }
    f.release(I64, count);
  });

/** PSLLDQ, PSRLDQ. */
const shiftBytes = (by: 1 | -1): Emit =>
  operation(({ t: { f }, a, immediate }) => {
    const from = Array.from({ length: 16 }, (_, i) => i - by * immediate);
    const inside = (j: number) => j >= 0 && j < 16;
    f.get(a);
    constant(f, 0n);
    shuffle(f, from.map((j) => inside(j) ? j : 16));
  });

export const SHIFTS: Entries = [
  [N.Psllw, shift(16, "left")],
  [N.Pslld, shift(32, "left")],
  [N.Psllq, shift(64, "left")],
  [N.Psrlw, shift(16, "right")],
  [N.Psrld, shift(32, "right")],
  [N.Psrlq, shift(64, "right")],
  [N.Psraw, shift(16, "signed")],
  [N.Psrad, shift(32, "signed")],
  [N.Pslldq, shiftBytes(1)],
  [N.Psrldq, shiftBytes(-1)],
];

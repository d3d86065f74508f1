// Instructions that move elements about: shuffles, unpacking, blends, widening, inserts and extracts.
import { Mnemonic as N, OpKind, Register } from "iced-x86";
import type { Size } from "../translation.ts";
import { bytesConstant, lane, repeated, shuffle, vector, type VectorOp } from "./opcodes.ts";
import {
  type Emit,
  type Entries,
  getVector,
  I64,
  immediateOf,
  operation,
  readVector,
  setVector,
  V128,
  width,
} from "./vectors.ts";

/** Byte numbers of elements: `pick` tells which element of the pair (first operand's, then second's) goes where. */
function elements(bytes: number, pick: (element: number) => number): number[] {
  return Array.from(
    { length: 16 },
    (_, i) => pick(Math.floor(i / bytes)) * bytes + i % bytes,
  );
}

/** A shuffle of both operands that is known when it is translated. */
const fixed = (indices: (immediate: number, width: 8 | 16) => readonly number[]): Emit =>
  operation(({ t: { f }, a, b, immediate, width }) => {
    f.get(a);
    f.get(b);
    shuffle(f, indices(immediate, width));
  });

/** PUNPCKx, UNPCKx. */
const unpack = (bytes: number, high: boolean): Emit =>
  fixed((_, width) => {
    const first = high ? width / bytes / 2 : 0;
    return elements(bytes, (e) => ((e & 1) * 16) / bytes + ((e >> 1) + first) % (16 / bytes));
  });

const twoBits = (immediate: number, element: number) => (immediate >> (2 * (element & 3))) & 3;

/** PSHUFD, PSHUFLW, PSHUFHW, PSHUFW: elements `from` to `from + 3` of the second operand, shuffled; others as they are. */
const shuffleFour = (bytes: number, from: number): Emit =>
  fixed((immediate) =>
    elements(bytes, (e) => {
      const inside = e >= from && e < from + 4;
      return 16 / bytes + (inside ? from + twoBits(immediate, e) : e);
    })
  );

/** PALIGNR: bytes of second and first operand behind one another, from byte `immediate` on. */
const align = operation(({ t: { f }, a, b, immediate, width }) => {
  const at = Array.from({ length: 16 }, (_, i) => i + immediate);
  f.get(a);
  f.get(b);
  shuffle(f, at.map((j) => j < width ? 16 + j : j < 2 * width ? j - width : 0));
  bytesConstant(f, at.map((j) => j < 2 * width ? 0xff : 0));
  vector(f, "v128_and");
});

/** PSHUFB: an index with bit 7 clears. */
const shuffleBytes = operation(({ t: { f }, a, b, width }) => {
  f.get(a);
  f.get(b);
  repeated(f, 8, width === 8 ? 0x87n : 0x8fn);
  vector(f, "v128_and", "i8x16_swizzle");
});

const blend = (bytes: number): Emit =>
  fixed((immediate) => elements(bytes, (e) => e + ((immediate >> e) & 1) * (16 / bytes)));

/** Blends by the sign of the elements of XMM0. */
const blendBySign = (bytes: 1 | 4 | 8): Emit =>
  operation(({ t, a, b }) => {
    const { f } = t;
    const name = ({ 1: "i8x16_shr_s", 4: "i32x4_shr_s", 8: "i64x2_shr_s" } as const)[bytes];
    f.get(b);
    f.get(a);
    getVector(t, Register.XMM0);
    f.i32(8 * bytes - 1);
    vector(f, name, "v128_bitselect");
  });
/** INSERTPS: one element of the second operand to one of the first, and zeros by a mask. Memory has one element only. */
const insertSingle = operation(({ t, a, b, immediate }) => {
  const { f } = t;
  const from = t.isMemory(1) ? 0 : immediate >> 6;
  const to = (immediate >> 4) & 3;
  f.get(a);
  f.get(b);
  shuffle(f, elements(4, (e) => e === to ? 4 + from : e));
  bytesConstant(f, elements(4, (e) => (immediate >> e) & 1).map((_, i) => mask(immediate, i)));
  vector(f, "v128_and");
});
const mask = (immediate: number, byte: number) => (immediate >> (byte >> 2)) & 1 ? 0 : 0xff;

/** PMOVSXxx, PMOVZXxx: the low elements of the source, widened once or more. */
const extend = (...names: readonly VectorOp[]): Emit =>
  operation(({ t: { f }, b }) => {
    f.get(b);
    vector(f, ...names);
  });
const [BW, WD, DQ] = [
  "i16x8_extend_low_i8x16",
  "i32x4_extend_low_i16x8",
  "i64x2_extend_low_i32x4",
] as const;

/** MOVDDUP, MOVSHDUP, MOVSLDUP and what else takes its elements from the source alone. */
const fromSource = (bytes: number, pick: (element: number) => number): Emit =>
  fixed(() => elements(bytes, (e) => 16 / bytes + pick(e)));

/** PINSRx. */
const insert = (size: Size): Emit => (t) => {
  const { f } = t;
  const { insn } = t.site;
  const value = f.temporary(I64);
  const result = f.temporary(V128);
  const index = immediateOf(t) & (width(t) / size - 1);
  t.read(1, insn.op1Kind === OpKind.Memory ? size : 8);
  f.set(value);
  getVector(t, insn.op0Register);
  f.get(value);
  if (size < 8) f.op("i32_wrap_i64");
  const name = ({
    1: "i8x16_replace_lane",
    2: "i16x8_replace_lane",
    4: "i32x4_replace_lane",
    8: "i64x2_replace_lane",
  } as const)[size];
  lane(f, name, index);
  f.set(result);
  setVector(t, insn.op0Register, result);
  f.release(I64, value);
  f.release(V128, result);
};

/** PEXTRx, EXTRACTPS: to a register, zero-extended, or to memory. */
const extract = (size: Size): Emit => (t) => {
  const { f } = t;
  const { insn } = t.site;
  const value = f.temporary(I64);
  const bytes = insn.op1Register >= Register.MM0 && insn.op1Register <= Register.MM7 ? 8 : 16;
  getVector(t, insn.op1Register);
  const name = ({
    1: "i8x16_extract_lane_u",
    2: "i16x8_extract_lane_u",
    4: "i32x4_extract_lane",
    8: "i64x2_extract_lane",
  } as const)[size];
  lane(f, name, immediateOf(t) & (bytes / size - 1));
  if (size < 8) f.op("i64_extend_i32_u");
  f.set(value);
  if (insn.op0Kind === OpKind.Memory) t.write(0, size, value);
  else {
    f.get(value);
    t.setRegister(insn.op0Register);
  }
  f.release(I64, value);
};

/** MOVMSKPS, MOVMSKPD, PMOVMSKB. */
const signs = (name: VectorOp): Emit => (t) => {
  const { f } = t;
  readVector(t, 1);
  vector(f, name);
  f.op("i64_extend_i32_u");
  t.setRegister(t.site.insn.op0Register);
};

export const SHUFFLES: Entries = [
  ...[N.Punpcklbw, N.Punpcklwd, N.Punpckldq, N.Punpcklqdq]
    .map((n, i) => [n, unpack(1 << i, false)] as const),
  ...[N.Punpckhbw, N.Punpckhwd, N.Punpckhdq, N.Punpckhqdq]
    .map((n, i) => [n, unpack(1 << i, true)] as const),
  [N.Unpcklps, unpack(4, false)],
  [N.Unpckhps, unpack(4, true)],
  [N.Unpcklpd, unpack(8, false)],
  [N.Unpckhpd, unpack(8, true)],
  [N.Pshufd, shuffleFour(4, 0)],
  [N.Pshuflw, shuffleFour(2, 0)],
  [N.Pshufhw, shuffleFour(2, 4)],
  [N.Pshufw, shuffleFour(2, 0)],
  [N.Shufps, fixed((imm) => elements(4, (e) => (e < 2 ? 0 : 4) + twoBits(imm, e)))],
  [N.Shufpd, fixed((imm) => elements(8, (e) => 2 * e + ((imm >> e) & 1)))],
  [N.Palignr, align],
  [N.Pshufb, shuffleBytes],
  [N.Blendps, blend(4)],
  [N.Blendpd, blend(8)],
  [N.Pblendw, blend(2)],
  [N.Pblendvb, blendBySign(1)],
  [N.Blendvps, blendBySign(4)],
  [N.Blendvpd, blendBySign(8)],
  [N.Insertps, insertSingle],
  [N.Pmovsxbw, extend(`${BW}_s`)],
  [N.Pmovsxbd, extend(`${BW}_s`, `${WD}_s`)],
  [N.Pmovsxbq, extend(`${BW}_s`, `${WD}_s`, `${DQ}_s`)],
  [N.Pmovsxwd, extend(`${WD}_s`)],
  [N.Pmovsxwq, extend(`${WD}_s`, `${DQ}_s`)],
  [N.Pmovsxdq, extend(`${DQ}_s`)],
  [N.Pmovzxbw, extend(`${BW}_u`)],
  [N.Pmovzxbd, extend(`${BW}_u`, `${WD}_u`)],
  [N.Pmovzxbq, extend(`${BW}_u`, `${WD}_u`, `${DQ}_u`)],
  [N.Pmovzxwd, extend(`${WD}_u`)],
  [N.Pmovzxwq, extend(`${WD}_u`, `${DQ}_u`)],
  [N.Pmovzxdq, extend(`${DQ}_u`)],
  [N.Movddup, fromSource(8, () => 0)],
  [N.Movshdup, fromSource(4, (e) => e | 1)],
  [N.Movsldup, fromSource(4, (e) => e & ~1)],
  [N.Pinsrb, insert(1)],
  [N.Pinsrw, insert(2)],
  [N.Pinsrd, insert(4)],
  [N.Pinsrq, insert(8)],
  [N.Pextrb, extract(1)],
  [N.Pextrw, extract(2)],
  [N.Pextrd, extract(4)],
  [N.Pextrq, extract(8)],
  [N.Extractps, extract(4)],
  [N.Movmskps, signs("i32x4_bitmask")],
  [N.Movmskpd, signs("i64x2_bitmask")],
  [N.Pmovmskb, signs("i8x16_bitmask")],
];

// Integer arithmetic, logic and comparison, lane by lane.
import { Mnemonic as N } from "iced-x86";
import { constant, repeated, shuffle, vector, type VectorOp } from "./opcodes.ts";
import { type Emit, type Entries, type Operands, operation, withVector } from "./vectors.ts";

/** Instructions that WebAssembly has too. */
const DIRECT: readonly (readonly [N, VectorOp])[] = [
  [N.Paddb, "i8x16_add"],
  [N.Paddw, "i16x8_add"],
  [N.Paddd, "i32x4_add"],
  [N.Paddq, "i64x2_add"],
  [N.Psubb, "i8x16_sub"],
  [N.Psubw, "i16x8_sub"],
  [N.Psubd, "i32x4_sub"],
  [N.Psubq, "i64x2_sub"],
  [N.Paddsb, "i8x16_add_sat_s"],
  [N.Paddsw, "i16x8_add_sat_s"],
  [N.Paddusb, "i8x16_add_sat_u"],
  [N.Paddusw, "i16x8_add_sat_u"],
  [N.Psubsb, "i8x16_sub_sat_s"],
  [N.Psubsw, "i16x8_sub_sat_s"],
  [N.Psubusb, "i8x16_sub_sat_u"],
  [N.Psubusw, "i16x8_sub_sat_u"],
  [N.Pminsb, "i8x16_min_s"],
  [N.Pminub, "i8x16_min_u"],
  [N.Pminsw, "i16x8_min_s"],
  [N.Pminuw, "i16x8_min_u"],
  [N.Pminsd, "i32x4_min_s"],
  [N.Pminud, "i32x4_min_u"],
  [N.Pmaxsb, "i8x16_max_s"],
  [N.Pmaxub, "i8x16_max_u"],
  [N.Pmaxsw, "i16x8_max_s"],
  [N.Pmaxuw, "i16x8_max_u"],
  [N.Pmaxsd, "i32x4_max_s"],
  [N.Pmaxud, "i32x4_max_u"],
  [N.Pavgb, "i8x16_avgr_u"],
  [N.Pavgw, "i16x8_avgr_u"],
  [N.Pmullw, "i16x8_mul"],
  [N.Pmulld, "i32x4_mul"],
  [N.Pmaddwd, "i32x4_dot_i16x8_s"],
  [N.Pcmpeqb, "i8x16_eq"],
  [N.Pcmpeqw, "i16x8_eq"],
  [N.Pcmpeqd, "i32x4_eq"],
  [N.Pcmpeqq, "i64x2_eq"],
  [N.Pcmpgtb, "i8x16_gt_s"],
  [N.Pcmpgtw, "i16x8_gt_s"],
  [N.Pcmpgtd, "i32x4_gt_s"],
  [N.Pcmpgtq, "i64x2_gt_s"],
  ...[N.Pand, N.Andps, N.Andpd].map((n) => [n, "v128_and"] as const),
  ...[N.Por, N.Orps, N.Orpd].map((n) => [n, "v128_or"] as const),
  ...[N.Pxor, N.Xorps, N.Xorpd].map((n) => [n, "v128_xor"] as const),
];

const direct = (name: VectorOp): Emit =>
  operation(({ t: { f }, a, b }) => {
    f.get(a);
    f.get(b);
    vector(f, name);
  });

/** PANDN and its kin invert their first operand. */
const andNot = operation(({ t: { f }, a, b }) => {
  f.get(b);
  f.get(a);
  vector(f, "v128_andnot");
});

/** PABSx: of the source alone. */
const absolute = (name: VectorOp): Emit =>
  operation(({ t: { f }, b }) => {
    f.get(b);
    vector(f, name);
  });

/** PSIGNx: negates where the source is negative, clears where it is zero. */
const sign = (bits: 8 | 16 | 32): Emit =>
  operation(({ t: { f }, a, b }) => {
    const [negate, greater, equal] = ({
      8: ["i8x16_neg", "i8x16_gt_s", "i8x16_eq"],
      16: ["i16x8_neg", "i16x8_gt_s", "i16x8_eq"],
      32: ["i32x4_neg", "i32x4_gt_s", "i32x4_eq"],
    } as const)[bits];
    f.get(a);
    vector(f, negate);
    f.get(a);
    constant(f, 0n);
    f.get(b);
    vector(f, greater, "v128_bitselect");
    f.get(b);
    constant(f, 0n);
    vector(f, equal, "v128_andnot");
  });

/** The words `parity`, `parity + 2`, ... of two vectors. */
const WORDS_UPPER = [2, 3, 6, 7, 10, 11, 14, 15, 18, 19, 22, 23, 26, 27, 30, 31];

/** PMULHW, PMULHUW: upper halves of the products. */
const multiplyHigh = (signed: boolean): Emit =>
  operation(({ t: { f }, a, b }) => {
    for (const name of ["low", "high"] as const) {
      f.get(a);
      f.get(b);
      vector(f, `i32x4_extmul_${name}_i16x8_${signed ? "s" : "u"}`);
    }
    shuffle(f, WORDS_UPPER);
  });

/** PMULHRSW: WebAssembly saturates -1 times -1, x86 wraps. */
const multiplyRound = operation(({ t: { f }, a, b }) => {
  f.get(a);
  f.get(b);
  vector(f, "i16x8_q15mulr_sat_s");
  for (const v of [a, b]) {
    f.get(v);
    repeated(f, 16, 0x8000n);
    vector(f, "i16x8_eq");
  }
  vector(f, "v128_and", "v128_xor");
});

/** PMADDUBSW: unsigned bytes of the first operand times signed ones of the second, pairs added with saturation. */
const multiplyAddBytes = operation(({ t: { f }, a, b }) => {
  f.get(a);
  repeated(f, 16, 0xffn);
  vector(f, "v128_and");
  f.get(b);
  f.i32(8);
  vector(f, "i16x8_shl");
  f.i32(8);
  vector(f, "i16x8_shr_s", "i16x8_mul");
  f.get(a);
  f.i32(8);
  vector(f, "i16x8_shr_u");
  f.get(b);
  f.i32(8);
  vector(f, "i16x8_shr_s", "i16x8_mul", "i16x8_add_sat_s");
});

/** PMULUDQ, PMULDQ: products of the even doublewords. */
const multiplyEven = (signed: boolean): Emit =>
  operation(({ t: { f }, a, b }) => {
    for (const v of [a, b]) {
      f.get(v);
      f.i32(32);
      vector(f, "i64x2_shl");
      f.i32(32);
      vector(f, signed ? "i64x2_shr_s" : "i64x2_shr_u");
    }
    vector(f, "i64x2_mul");
  });

/** PSADBW: sums of absolute differences of eight bytes each. */
const sumOfDifferences = operation(({ t, a, b }) =>
  withVector(t, (sums) => {
    const { f } = t;
    for (const name of ["i8x16_max_u", "i8x16_min_u"] as const) {
      f.get(a);
      f.get(b);
      vector(f, name);
    }
    vector(
      f,
      "i8x16_sub",
      "i16x8_extadd_pairwise_i8x16_u",
      "i32x4_extadd_pairwise_i16x8_u",
    );
    f.set(sums);
    f.get(sums);
    f.i32(32);
    vector(f, "i64x2_shr_u");
    f.get(sums);
    repeated(f, 64, 0xffff_ffffn);
    vector(f, "v128_and", "i64x2_add");
  })
);

/** For MMX, puts both operands behind one another: what works on 16 bytes of each then finds them all in the first. */
export function joined({ t: { f }, a, b, width }: Operands): void {
  if (width === 16) return;
  f.get(a);
  f.get(b);
  shuffle(f, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
  f.set(a);
  f.get(a);
  f.set(b);
}

/** PHADDx and PHSUBx: each pair of neighbours, of the first operand and then of the second. */
const horizontal = (bytes: 2 | 4, name: VectorOp): Emit =>
  operation((o) => {
    joined(o);
    const { t: { f }, a, b } = o;
    for (const parity of [0, 1]) {
      f.get(a);
      f.get(b);
      shuffle(
        f,
        Array.from({ length: 16 }, (_, i) => {
          const [element, byte] = [Math.floor(i / bytes), i % bytes];
          return (2 * element + parity) * bytes + byte;
        }),
      );
    }
    vector(f, name);
  });

const pack = (name: VectorOp): Emit =>
  operation((o) => {
    joined(o);
    o.t.f.get(o.a);
    o.t.f.get(o.b);
    vector(o.t.f, name);
  });

export const INTEGER: Entries = [
  ...DIRECT.map(([mnemonic, name]) => [mnemonic, direct(name)] as const),
  [N.Pandn, andNot],
  [N.Andnps, andNot],
  [N.Andnpd, andNot],
  [N.Pabsb, absolute("i8x16_abs")],
  [N.Pabsw, absolute("i16x8_abs")],
  [N.Pabsd, absolute("i32x4_abs")],
  [N.Psignb, sign(8)],
  [N.Psignw, sign(16)],
  [N.Psignd, sign(32)],
  [N.Pmulhw, multiplyHigh(true)],
  [N.Pmulhuw, multiplyHigh(false)],
  [N.Pmulhrsw, multiplyRound],
  [N.Pmaddubsw, multiplyAddBytes],
  [N.Pmuludq, multiplyEven(false)],
  [N.Pmuldq, multiplyEven(true)],
  [N.Psadbw, sumOfDifferences],
  [N.Phaddw, horizontal(2, "i16x8_add")],
  [N.Phaddd, horizontal(4, "i32x4_add")],
  [N.Phaddsw, horizontal(2, "i16x8_add_sat_s")],
  [N.Phsubw, horizontal(2, "i16x8_sub")],
  [N.Phsubd, horizontal(4, "i32x4_sub")],
  [N.Phsubsw, horizontal(2, "i16x8_sub_sat_s")],
  [N.Packsswb, pack("i8x16_narrow_i16x8_s")],
  [N.Packuswb, pack("i8x16_narrow_i16x8_u")],
  [N.Packssdw, pack("i16x8_narrow_i32x4_s")],
  [N.Packusdw, pack("i16x8_narrow_i32x4_u")],
];

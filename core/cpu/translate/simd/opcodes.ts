// WebAssembly's 128-bit instructions as the translator writes them (WebAssembly 2.0, 5.4.8; all have the prefix 0xfd).
import type { FunctionBody } from "../wasm.ts";

const PREFIX = 0xfd;

/** Opcodes, by their names in the specification. */
const V = {
  v128_load: 0,
  v128_store: 11,
  v128_const: 12,
  i8x16_shuffle: 13,
  i8x16_swizzle: 14,
  i8x16_splat: 15,
  i64x2_splat: 18,
  i8x16_extract_lane_u: 22,
  i8x16_replace_lane: 23,
  i16x8_extract_lane_u: 25,
  i16x8_replace_lane: 26,
  i32x4_extract_lane: 27,
  i32x4_replace_lane: 28,
  i64x2_extract_lane: 29,
  i64x2_replace_lane: 30,
  f32x4_replace_lane: 32,
  f64x2_replace_lane: 34,
  i8x16_eq: 35,
  i8x16_gt_s: 39,
  i16x8_eq: 45,
  i16x8_gt_s: 49,
  i32x4_eq: 55,
  i32x4_gt_s: 59,
  f32x4_eq: 65,
  f32x4_ne: 66,
  f32x4_lt: 67,
  f32x4_gt: 68,
  f32x4_le: 69,
  f64x2_eq: 71,
  f64x2_ne: 72,
  f64x2_lt: 73,
  f64x2_gt: 74,
  f64x2_le: 75,
  v128_not: 77,
  v128_and: 78,
  v128_andnot: 79,
  v128_or: 80,
  v128_xor: 81,
  v128_bitselect: 82,
  v128_any_true: 83,
  i8x16_abs: 96,
  i8x16_neg: 97,
  i8x16_bitmask: 100,
  i8x16_narrow_i16x8_s: 101,
  i8x16_narrow_i16x8_u: 102,
  i8x16_shr_s: 108,
  i8x16_add: 110,
  i8x16_add_sat_s: 111,
  i8x16_add_sat_u: 112,
  i8x16_sub: 113,
  i8x16_sub_sat_s: 114,
  i8x16_sub_sat_u: 115,
  i8x16_min_s: 118,
  i8x16_min_u: 119,
  i8x16_max_s: 120,
  i8x16_max_u: 121,
  i8x16_avgr_u: 123,
  i16x8_extadd_pairwise_i8x16_u: 125,
  i32x4_extadd_pairwise_i16x8_u: 127,
  i16x8_abs: 128,
  i16x8_neg: 129,
  i16x8_q15mulr_sat_s: 130,
  i16x8_narrow_i32x4_s: 133,
  i16x8_narrow_i32x4_u: 134,
  i16x8_extend_low_i8x16_s: 135,
  i16x8_extend_low_i8x16_u: 137,
  i16x8_shl: 139,
  i16x8_shr_s: 140,
  i16x8_shr_u: 141,
  i16x8_add: 142,
  i16x8_add_sat_s: 143,
  i16x8_add_sat_u: 144,
  i16x8_sub: 145,
  i16x8_sub_sat_s: 146,
  i16x8_sub_sat_u: 147,
  i16x8_mul: 149,
  i16x8_min_s: 150,
  i16x8_min_u: 151,
  i16x8_max_s: 152,
  i16x8_max_u: 153,
  i16x8_avgr_u: 155,
  i32x4_abs: 160,
  i32x4_neg: 161,
  i32x4_bitmask: 164,
  i32x4_extend_low_i16x8_s: 167,
  i32x4_extend_low_i16x8_u: 169,
  i32x4_shl: 171,
  i32x4_shr_s: 172,
  i32x4_shr_u: 173,
  i32x4_add: 174,
  i32x4_sub: 177,
  i32x4_mul: 181,
  i32x4_min_s: 182,
  i32x4_min_u: 183,
  i32x4_max_s: 184,
  i32x4_max_u: 185,
  i32x4_dot_i16x8_s: 186,
  i32x4_extmul_low_i16x8_s: 188,
  i32x4_extmul_high_i16x8_s: 189,
  i32x4_extmul_low_i16x8_u: 190,
  i32x4_extmul_high_i16x8_u: 191,
  i64x2_bitmask: 196,
  i64x2_extend_low_i32x4_s: 199,
  i64x2_extend_low_i32x4_u: 201,
  i64x2_shl: 203,
  i64x2_shr_s: 204,
  i64x2_shr_u: 205,
  i64x2_add: 206,
  i64x2_sub: 209,
  i64x2_mul: 213,
  i64x2_eq: 214,
  i64x2_gt_s: 217,
  f32x4_sqrt: 227,
  f32x4_add: 228,
  f32x4_sub: 229,
  f32x4_mul: 230,
  f32x4_div: 231,
  f64x2_sqrt: 239,
  f64x2_add: 240,
  f64x2_sub: 241,
  f64x2_mul: 242,
  f64x2_div: 243,
} as const;
export type VectorOp = keyof typeof V;

/** Instructions without an immediate. */
export function vector(f: FunctionBody, ...names: readonly VectorOp[]): void {
  for (const name of names) {
    f.code.byte(PREFIX);
    f.code.u32(V[name]);
  }
}

/** Extracts or replaces a lane. */
export function lane(f: FunctionBody, name: VectorOp, index: number): void {
  vector(f, name);
  f.code.byte(index);
}

/** Loads or stores 128 bits; there is no promise of alignment. */
export function vectorMemory(
  f: FunctionBody,
  name: "v128_load" | "v128_store",
  offset: number,
): void {
  vector(f, name);
  f.code.u32(0);
  f.code.u32(offset);
}

/** A constant, by its 16 bytes. */
export function bytesConstant(f: FunctionBody, bytes: readonly number[]): void {
  vector(f, "v128_const");
  for (let i = 0; i < 16; i++) f.code.byte(bytes[i] ?? 0);
}

/** A constant, by a 128-bit number. */
export function constant(f: FunctionBody, value: bigint): void {
  bytesConstant(f, Array.from({ length: 16 }, (_, i) => Number(value >> BigInt(8 * i) & 0xffn)));
}

/** A constant that repeats a lane of `bits` bits. */
export function repeated(f: FunctionBody, bits: number, value: bigint): void {
  let whole = 0n;
  for (let at = 0; at < 128; at += bits) whole |= BigInt.asUintN(bits, value) << BigInt(at);
  constant(f, whole);
}

/** Picks 16 bytes out of two vectors: 0 to 15 are the deeper one's on the stack, 16 to 31 the upper one's. */
export function shuffle(f: FunctionBody, indices: readonly number[]): void {
  vector(f, "i8x16_shuffle");
  for (let i = 0; i < 16; i++) f.code.byte(indices[i] ?? 0);
}

// The two vectors that translated code hands over for an instruction done in TypeScript, as elements.
import * as L from "../../layout.ts";
import type { CpuState } from "../../state.ts";
import { DOUBLE, type Format } from "./float.ts";

/** Bits of element `index` of a format in vector A or B. */
export function element(state: CpuState, at: number, format: Format, index: number): bigint {
  return format === DOUBLE
    ? state.view.getBigUint64(at + 8 * index, true)
    : BigInt(state.view.getUint32(at + 4 * index, true));
}

export function setElement(state: CpuState, format: Format, index: number, bits: bigint): void {
  if (format === DOUBLE) state.view.setBigUint64(L.SIMD_A + 8 * index, bits, true);
  else state.view.setUint32(L.SIMD_A + 4 * index, Number(bits), true);
}

/** Elements of a vector. */
export function elements(state: CpuState, at: number, format: Format): bigint[] {
  const count = 128 / format.bits;
  return Array.from({ length: count }, (_, i) => element(state, at, format, i));
}

/** A whole vector. */
export function whole(state: CpuState, at: number): bigint {
  return state.view.getBigUint64(at, true) | state.view.getBigUint64(at + 8, true) << 64n;
}
export function setWhole(state: CpuState, value: bigint): void {
  state.view.setBigUint64(L.SIMD_A, BigInt.asUintN(64, value), true);
  state.view.setBigUint64(L.SIMD_A + 8, BigInt.asUintN(64, value >> 64n), true);
}

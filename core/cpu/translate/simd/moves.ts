// Moves between vector registers, general registers and memory.
import { Mnemonic as N, OpKind } from "iced-x86";
import type { Translation } from "../translation.ts";
import type { Local } from "../wasm.ts";
import { constant, shuffle, vector } from "./opcodes.ts";
import {
  type Emit,
  type Entries,
  getVector,
  isVector,
  readVector,
  V128,
  withVector,
  writeVector,
} from "./vectors.ts";

/** Operand 1 to operand 0, as wide as they are. */
const whole: Emit = (t) =>
  withVector(t, (value) => {
    readVector(t, 1);
    t.f.set(value);
    writeVector(t, 0, value);
  });

/** MOVQ to a register clears the upper half, also from a register. */
const quadword: Emit = (t) =>
  withVector(t, (value) => {
    readVector(t, 1);
    constant(t.f, 0xffff_ffff_ffff_ffffn);
    vector(t.f, "v128_and");
    t.f.set(value);
    writeVector(t, 0, value);
  });

/** MOVSS, MOVSD: between registers the rest of the destination stays, from memory it is cleared. */
const scalar = (bytes: 4 | 8): Emit => (t) => {
  if (!isVector(t, 0) || !isVector(t, 1)) return whole(t);
  merge(t, Array.from({ length: 16 }, (_, i) => i < bytes ? 16 + i : i));
};

/** A shuffle of operands 0 and 1 into operand 0, a register. */
function merge(t: Translation, indices: readonly number[]): void {
  withVector(t, (result) => {
    const source = t.f.temporary(V128);
    readVector(t, 1);
    t.f.set(source);
    getVector(t, t.site.insn.op0Register);
    t.f.get(source);
    shuffle(t.f, indices);
    t.f.set(result);
    writeVector(t, 0, result);
    t.f.release(V128, source);
  });
}

const LOW_FROM_LOW = [16, 17, 18, 19, 20, 21, 22, 23, 8, 9, 10, 11, 12, 13, 14, 15];
const HIGH_FROM_LOW = [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23];
const LOW_FROM_HIGH = [24, 25, 26, 27, 28, 29, 30, 31, 8, 9, 10, 11, 12, 13, 14, 15];

/** MOVLPx, MOVHPx: one half of a register, from and to memory. */
const half = (high: boolean): Emit => (t) => {
  if (t.site.insn.op0Kind !== OpKind.Memory) {
    return merge(t, high ? HIGH_FROM_LOW : LOW_FROM_LOW);
  }
  withVector(t, (value: Local) => {
    readVector(t, 1);
    t.f.set(value);
    if (high) {
      t.f.get(value);
      t.f.get(value);
      shuffle(t.f, LOW_FROM_HIGH);
      t.f.set(value);
    }
    writeVector(t, 0, value);
  });
};

export const MOVES: Entries = [
  ...[
    N.Movaps,
    N.Movapd,
    N.Movdqa,
    N.Movups,
    N.Movupd,
    N.Movdqu,
    N.Lddqu,
    N.Movntps,
    N.Movntpd,
    N.Movntdq,
    N.Movntdqa,
    N.Movntq,
    N.Movd,
  ].map((n) => [n, whole] as const),
  [N.Movq, quadword],
  [N.Movq2dq, quadword],
  [N.Movdq2q, quadword],
  [N.Movss, scalar(4)],
  [N.Movsd, scalar(8)],
  [N.Movlps, half(false)],
  [N.Movlpd, half(false)],
  [N.Movhps, half(true)],
  [N.Movhpd, half(true)],
  [N.Movhlps, (t) => merge(t, LOW_FROM_HIGH)],
  [N.Movlhps, (t) => merge(t, HIGH_FROM_LOW)],
];

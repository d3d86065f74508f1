// SIMD instructions that are done in TypeScript (../../execute/simd): operands go there and results come back by memory.
import { MemorySizeExt, Mnemonic as N, OpKind, Register, RegisterExt } from "iced-x86";
import { isComputed, WIDE } from "../../execute/simd/simd.ts";
import * as L from "../../layout.ts";
import type { Translation } from "../translation.ts";
import type { Local } from "../wasm.ts";
import { vector, vectorMemory } from "./opcodes.ts";
import {
  type Emit,
  type Entries,
  getVector,
  I64,
  immediateOf,
  isMm,
  isXmm,
  readVector,
  setVector,
  V128,
  withVector,
} from "./vectors.ts";

/** Hands over both operands. */
function handOver(t: Translation, first: Register): void {
  for (
    const [at, read] of [
      [L.SIMD_B, () => readVector(t, 1)],
      [L.SIMD_A, () => getVector(t, first)],
    ] as const
  ) {
    withVector(t, (value) => {
      read();
      t.f.set(value);
      t.f.i32(0);
      t.f.get(value);
      vectorMemory(t.f, "v128_store", at);
    });
  }
}

/**
 * Does an instruction whose operands are in locals. The result goes to operand 0, or nowhere where `to` is no register: then
 * it is in SIMD_FLAGS.
 */
export function computeInTypeScript(
  t: Translation,
  a: Local,
  b: Local,
  to: Register = t.site.insn.op0Register,
): void {
  for (const [at, value] of [[L.SIMD_A, a], [L.SIMD_B, b]] as const) {
    t.f.i32(0);
    t.f.get(value);
    vectorMemory(t.f, "v128_store", at);
  }
  compute(t, immediateAndSize(t));
  if (to !== Register.None) takeResult(t, to);
}

/**
 * An instruction that has a fast way: `fast` calls `slow` with a condition on the stack, where it must be done in TypeScript
 * after all, before it has changed anything. Both get the operands in locals.
 */
export function twoWays(
  t: Translation,
  fast: (a: Local, b: Local, slow: () => void) => void,
  slowly: (a: Local, b: Local) => void = (a, b) => computeInTypeScript(t, a, b),
): void {
  const { f } = t;
  const [a, b] = [f.temporary(V128), f.temporary(V128)];
  readVector(t, 1);
  f.set(b);
  getVector(t, t.site.insn.op0Register);
  f.set(a);
  const done = f.open("block");
  const otherwise = f.open("block");
  fast(a, b, () => f.branch("br_if", otherwise));
  f.branch("br", done);
  f.end();
  slowly(a, b);
  f.end();
  f.release(V128, a, b);
}

function compute(t: Translation, immediate: number): void {
  t.f.i32(t.site.insn.mnemonic);
  t.f.i32(immediate);
  t.call("simd");
  t.bailIfAsked();
}

function takeResult(t: Translation, register: Register): void {
  withVector(t, (result) => {
    t.f.i32(0);
    vectorMemory(t.f, "v128_load", L.SIMD_A);
    t.f.set(result);
    setVector(t, register, result);
  });
}

function takeFlags(t: Translation): void {
  t.f.i32(0);
  t.f.memory("i64_load", L.SIMD_FLAGS);
  t.setFlagBits();
}

/** Bytes of the general register that a conversion names, or of the integer in memory. */
export function integerSize({ site: { insn } }: Translation): number {
  const general = !isXmm(insn.op0Register) && !isMm(insn.op0Register);
  if (general) return RegisterExt.size(insn.op0Register);
  return insn.op1Kind === OpKind.Memory
    ? MemorySizeExt.size(insn.memorySize)
    : RegisterExt.size(insn.op1Register);
}

/** The immediate, and in it the size of an integer operand. */
const immediateAndSize = (t: Translation) => immediateOf(t) | (integerSize(t) === 8 ? WIDE : 0);

/** Operand 0 from operands 0 and 1 and the immediate. */
const plain: Emit = (t) => {
  const { insn } = t.site;
  handOver(t, insn.op0Register);
  compute(t, immediateAndSize(t));
  takeResult(t, insn.op0Register);
};

/** PCMPxSTRx: lengths in RAX and RDX, which regions keep in locals. */
const strings = (result: Register): Emit => (t) => {
  const { f } = t;
  handOver(t, t.site.insn.op0Register);
  for (const index of [0, 2]) {
    f.i32(0);
    t.getGpr(index);
    f.memory("i64_store", L.GPR + 8 * index);
  }
  compute(t, immediateOf(t));
  takeResult(t, result);
  takeFlags(t);
};

/** CRC32: also of general registers and memory; the result's upper half is zero. */
const crc32: Emit = (t) => {
  const { insn } = t.site;
  const size = insn.op1Kind === OpKind.Memory
    ? MemorySizeExt.size(insn.memorySize)
    : RegisterExt.size(insn.op1Register);
  handOver(t, insn.op0Register);
  compute(t, size);
  takeResult(t, insn.op0Register);
};

/** PTEST: ZF if no bit is set in both, CF if none in the second alone. */
const test: Emit = (t) =>
  withVector(t, (b) => {
    const { f } = t;
    const flags = f.temporary(I64);
    readVector(t, 1);
    f.set(b);
    for (const [name, bit] of [["v128_and", 6], ["v128_andnot", 0]] as const) {
      f.get(b);
      getVector(t, t.site.insn.op0Register);
      vector(f, name, "v128_any_true");
      f.op("i32_eqz", "i64_extend_i32_u");
      f.i64(bit);
      f.op("i64_shl");
      if (bit === 0) {
        f.get(flags);
        f.op("i64_or");
      }
      f.set(flags);
    }
    f.get(flags);
    t.setFlagBits();
    f.release(I64, flags);
  });

const SPECIAL = new Map<N, Emit>([
  ...[N.Pcmpestri, N.Pcmpistri].map((n) => [n, strings(Register.ECX)] as const),
  [N.Pcmpestri64, strings(Register.RCX)],
  ...[N.Pcmpestrm, N.Pcmpistrm, N.Pcmpestrm64].map((n) => [n, strings(Register.XMM0)] as const),
  [N.Ptest, test],
]);

const plainMnemonics = Object.values(N).filter((n): n is N =>
  typeof n === "number" && n !== N.Crc32 && isComputed(n) && !SPECIAL.has(n)
);

export const COMPUTED: Entries = [...plainMnemonics.map((n) => [n, plain] as const), ...SPECIAL];
/** Needs no SIMD state. */
export const CRC32 = crc32;

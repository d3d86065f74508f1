// Operands of SIMD instructions: XMM and MMX registers, which stay in memory between instructions, and memory of 1 to 16 bytes.
// Vectors are 128 bits wide here; an MMX register is the low half of one whose upper half is zero.
import { MemorySizeExt, Mnemonic, OpKind, Register, RegisterExt } from "iced-x86";
import { VECTOR } from "../../../base/registers.ts";
import * as L from "../../layout.ts";
import { AT, STRIDE, TOP_MASK } from "../../x87/registers.ts";
import type { Size, Translation } from "../translation.ts";
import { I32, I64, type Local, V128 } from "../wasm.ts";
import { checkBothPages } from "../two_pages.ts";
import { checkPending } from "../x87.ts";
import { constant, lane, vectorMemory } from "./opcodes.ts";

/** Emits one SIMD instruction. */
export type Emit = (t: Translation) => void;
/** Rows of the table of instructions. */
export type Entries = readonly (readonly [Mnemonic, Emit])[];

/** Sign and exponent of an x87 register that MMX code has written. */
const MMX_EXPONENT = 0xffff;

/** 16-byte operands of these need no alignment (SDM vol. 1, 15.7, and PCMPxSTRx). */
const UNALIGNED = new Set<Mnemonic>([
  Mnemonic.Movups,
  Mnemonic.Movupd,
  Mnemonic.Movdqu,
  Mnemonic.Lddqu,
  Mnemonic.Pcmpestri,
  Mnemonic.Pcmpestrm,
  Mnemonic.Pcmpistri,
  Mnemonic.Pcmpistrm,
  Mnemonic.Pcmpestri64,
  Mnemonic.Pcmpestrm64,
]);

export const isXmm = (register: Register): boolean => RegisterExt.isXMM(register);
export const isMm = (register: Register): boolean => RegisterExt.isMM(register);

const xmmAt = (register: Register) => L.XMM + 16 * RegisterExt.number(register);
const mmAt = (register: Register) => AT.registers + STRIDE * RegisterExt.number(register);

/** Is the operand a register of vectors? */
export function isVector(t: Translation, operand: number): boolean {
  const { insn } = t.site;
  if (insn.opKind(operand) !== OpKind.Register) return false;
  const register = insn.opRegister(operand);
  return isXmm(register) || isMm(register);
}

/** Bytes of vector that the instruction works on: 8 where it names MMX registers alone. */
export function width(t: Translation): 8 | 16 {
  return isMm(t.site.insn.op0Register) ? 8 : 16;
}

/** Leaves the vector in a register. */
export function getVector(t: Translation, register: Register): void {
  const { f } = t;
  if (isXmm(register)) {
    f.i32(0);
    return vectorMemory(f, "v128_load", xmmAt(register));
  }
  if (isMm(register)) {
    f.i32(0);
    f.memory("i64_load", mmAt(register));
  } else t.getRegister(register);
  lift(t);
}

/** Makes a vector of the i64 on the stack. */
export function lift(t: Translation): void {
  const value = t.f.temporary(I64);
  t.f.set(value);
  constant(t.f, 0n);
  t.f.get(value);
  lane(t.f, "i64x2_replace_lane", 0);
  t.f.release(I64, value);
}

/** Sets a register to the vector in a local, or to its low part. */
export function setVector(t: Translation, register: Register, value: Local): void {
  const { f } = t;
  if (isXmm(register)) {
    f.i32(0);
    f.get(value);
    return vectorMemory(f, "v128_store", xmmAt(register));
  }
  if (isMm(register)) {
    f.i32(0);
    f.get(value);
    lane(f, "i64x2_extract_lane", 0);
    f.memory("i64_store", mmAt(register));
    f.i32(0);
    f.i64(MMX_EXPONENT);
    return f.memory("i64_store16", mmAt(register) + 8);
  }
  f.get(value);
  lane(f, "i64x2_extract_lane", 0);
  t.cut(RegisterExt.size(register) as Size);
  t.setRegister(register);
}

/** Leaves operand `n`: of memory, what its size says, zero-extended; nothing of an immediate. */
export function readVector(t: Translation, operand: number): void {
  const { insn } = t.site;
  if (insn.opKind(operand) === OpKind.Register) return getVector(t, insn.opRegister(operand));
  if (insn.opKind(operand) !== OpKind.Memory) return constant(t.f, 0n);
  const size = MemorySizeExt.size(insn.memorySize);
  const at = t.address(size, "read");
  if (size === 16) {
    checkAlignment(t, at);
    loadVector(t, at);
  } else {
    t.load(at, size as Size);
    lift(t);
  }
  t.f.release(I64, at);
}

/** Writes a vector, or as much of its low end as the operand holds. */
export function writeVector(t: Translation, operand: number, value: Local): void {
  const { f } = t;
  const { insn } = t.site;
  if (insn.opKind(operand) === OpKind.Register) {
    return setVector(t, insn.opRegister(operand), value);
  }
  const size = MemorySizeExt.size(insn.memorySize);
  const at = t.address(size, "write");
  if (size === 16) {
    checkAlignment(t, at);
    storeVector(t, at, value);
  } else {
    const low = f.temporary(I64);
    f.get(value);
    lane(f, "i64x2_extract_lane", 0);
    t.cut(size as Size);
    f.set(low);
    t.store(at, size as Size, low);
    f.release(I64, low);
  }
  f.release(I64, at);
}

function checkAlignment(t: Translation, at: Local): void {
  const { f } = t;
  const unaligned = UNALIGNED.has(t.site.insn.mnemonic);
  if (unaligned && !t.mode.aligned) return;
  f.get(at);
  f.i64(15);
  f.op("i64_and", "i64_eqz", "i32_eqz");
  f.open("if");
  t.raise(unaligned ? VECTOR.AC : VECTOR.GP);
  f.end();
}

/** Leaves 16 bytes at a linear address. */
function loadVector(t: Translation, at: Local): void {
  const { f } = t;
  const upper = upperHalf(t, at);
  constant(f, 0n);
  t.load(at, 8);
  lane(f, "i64x2_replace_lane", 0);
  t.load(upper, 8);
  lane(f, "i64x2_replace_lane", 1);
  f.release(I64, upper);
}

function storeVector(t: Translation, at: Local, value: Local): void {
  const { f } = t;
  const upper = upperHalf(t, at);
  if (UNALIGNED.has(t.site.insn.mnemonic)) checkBothPages(t, at, 16);
  const half = f.temporary(I64);
  for (const [i, place] of [at, upper].entries()) {
    f.get(value);
    lane(f, "i64x2_extract_lane", i);
    f.set(half);
    t.store(place, 8, half);
  }
  f.release(I64, half, upper);
}

function upperHalf(t: Translation, at: Local): Local {
  const upper = t.f.temporary(I64);
  t.f.get(at);
  t.f.i64(8);
  t.f.op("i64_add");
  if (t.mode.bits !== 64) t.cutTo(32);
  t.f.set(upper);
  return upper;
}

/** Raises what the mode has for SIMD instructions, and keeps the x87 state as MMX instructions leave it. */
export function gated(emit: Emit): Emit {
  return (t) => {
    const { insn } = t.site;
    const registers = Array.from({ length: insn.opCount }, (_, n) => n)
      .filter((n) => insn.opKind(n) === OpKind.Register).map((n) => insn.opRegister(n));
    const usesMmx = registers.some(isMm);
    const fault = usesMmx && !registers.some(isXmm) ? t.mode.mmxFault : t.mode.sseFault;
    if (fault !== undefined) return t.raise(fault);
    if (usesMmx) checkPending(t);
    emit(t);
    if (usesMmx) setTags(t, 0xff);
  };
}

/** The top of the x87 stack is 0, and no register is empty, or all are (SDM vol. 3, 13.2). */
function setTags({ f }: Translation, tags: 0 | 0xff): void {
  f.i32(0);
  f.i32(0);
  f.memory("i64_load16_u", AT.status);
  f.i64(0xffff & ~TOP_MASK);
  f.op("i64_and");
  f.memory("i64_store16", AT.status);
  f.i32(0);
  f.i64(tags);
  f.memory("i64_store8", AT.tags);
}

/** EMMS: all x87 registers are empty. */
export const emptyMmx: Emit = (t) => {
  if (t.mode.mmxFault !== undefined) return t.raise(t.mode.mmxFault);
  checkPending(t);
  setTags(t, 0);
};

/** What `operation` finds: its operands in locals, which it may change, and the immediate byte. */
export interface Operands {
  readonly t: Translation;
  /** Operand 0 as it was. */
  readonly a: Local;
  /** Operand 1. */
  readonly b: Local;
  readonly immediate: number;
  readonly width: 8 | 16;
}

/** Operand 0 becomes what `compute` leaves of operands 0 and 1. */
export function operation(compute: (o: Operands) => void): Emit {
  return (t) => {
    const { f } = t;
    const [a, b] = [f.temporary(V128), f.temporary(V128)];
    readVector(t, 1);
    f.set(b);
    getVector(t, t.site.insn.op0Register);
    f.set(a);
    compute({ t, a, b, immediate: immediateOf(t), width: width(t) });
    f.set(a);
    setVector(t, t.site.insn.op0Register, a);
    f.release(V128, a, b);
  };
}

/** The immediate byte, which is the last operand; 0 where there is none. */
export function immediateOf({ site: { insn } }: Translation): number {
  const last = insn.opCount - 1;
  return insn.opKind(last) === OpKind.Immediate8 ? Number(insn.immediate(last) & 0xffn) : 0;
}

/** Runs `use` with a new local of vectors. */
export function withVector(t: Translation, use: (v: Local) => void): void {
  const v = t.f.temporary(V128);
  use(v);
  t.f.release(V128, v);
}

export { I32, I64, V128 };

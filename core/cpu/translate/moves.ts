// Instructions that move and convert values and leave the flags alone.
import { type ConditionCode, Register } from "iced-x86";
import { operandSize } from "./operand_size.ts";
import { addressSegment } from "./segments.ts";
import type { Size, Translation } from "./translation.ts";
import { I64, type Local } from "./wasm.ts";

/** MOV, MOVNTI. */
export function mov(t: Translation): void {
  const size = operandSize(t.site.insn, 0);
  const value = t.f.temporary(I64);
  t.read(1, size);
  t.f.set(value);
  t.write(0, size, value);
  t.f.release(I64, value);
}

/** MOVZX, MOVSX, MOVSXD. */
export function extend(signed: boolean) {
  return (t: Translation): void => {
    const from = operandSize(t.site.insn, 1);
    t.read(1, from);
    if (signed) {
      t.signExtend(from);
      t.cut(operandSize(t.site.insn, 0));
    }
    t.setRegister(t.site.insn.op0Register);
  };
}

export function lea(t: Translation): void {
  t.effectiveAddress();
  t.cut(operandSize(t.site.insn, 0));
  t.setRegister(t.site.insn.op0Register);
}

/** XCHG: operand 1 is a register. */
export function xchg(t: Translation): void {
  const size = operandSize(t.site.insn, 0);
  const { old, result } = t.modify(0, size, (_, result) => {
    t.read(1, size);
    t.f.set(result);
  });
  t.f.get(old);
  t.setRegister(t.site.insn.op1Register);
  t.f.release(I64, old, result);
}

/** BSWAP; of 16 bits, zero (undefined in the SDM, what AMD and Intel CPUs do). */
export function bswap(t: Translation): void {
  const { f } = t;
  const register = t.site.insn.op0Register;
  const size = operandSize(t.site.insn, 0);
  if (size === 2) {
    f.i64(0);
    return t.setRegister(register);
  }
  const value = f.temporary(I64);
  t.getRegister(register);
  f.set(value);
  swapBytes(t, value, size);
  t.setRegister(register);
  f.release(I64, value);
}

/** Leaves a value with its bytes in the other order. */
function swapBytes({ f }: Translation, value: Local, size: Size): void {
  for (let byte = 0; byte < size; byte++) {
    f.get(value);
    f.i64(8 * byte);
    f.op("i64_shr_u");
    f.i64(0xff);
    f.op("i64_and");
    f.i64(8 * (size - 1 - byte));
    f.op("i64_shl");
    if (byte > 0) f.op("i64_or");
  }
}

/** MOVBE: bytes the other way round, from or to memory. */
export function moveSwapped(t: Translation): void {
  const { f } = t;
  const size = operandSize(t.site.insn, 0);
  const [source, value] = [f.temporary(I64), f.temporary(I64)];
  t.read(1, size);
  f.set(source);
  swapBytes(t, source, size);
  f.set(value);
  t.write(0, size, value);
  f.release(I64, source, value);
}

/** CMOVcc: memory is read, and a 32-bit destination's upper half cleared, whatever the condition. */
export function cmov(t: Translation, code: ConditionCode): void {
  const { f } = t;
  const size = operandSize(t.site.insn, 0);
  const source = f.temporary(I64);
  t.read(1, size);
  f.set(source);
  f.get(source);
  t.getRegister(t.site.insn.op0Register);
  t.condition(code);
  f.op("select");
  t.setRegister(t.site.insn.op0Register);
  f.release(I64, source);
}

export function setcc(t: Translation, code: ConditionCode): void {
  const { f } = t;
  const value = f.temporary(I64);
  t.condition(code);
  f.op("i32_eqz", "i32_eqz", "i64_extend_i32_u");
  f.set(value);
  t.write(0, 1, value);
  f.release(I64, value);
}

/** CBW, CWDE, CDQE: RAX widened in place. */
export function widen(from: Size, to: Register) {
  return (t: Translation): void => {
    t.getGpr(0);
    t.cut(from);
    t.signExtend(from);
    t.cut(2 * from as Size);
    t.setRegister(to);
  };
}

/** CWD, CDQ, CQO: the sign of RAX fills RDX. */
export function signInto(size: Size, to: Register) {
  return (t: Translation): void => {
    t.getGpr(0);
    t.signExtend(size);
    t.f.i64(63);
    t.f.op("i64_shr_s");
    t.cut(size);
    t.setRegister(to);
  };
}

/** XLAT: AL = [segment:RBX + AL]. */
export function xlat(t: Translation): void {
  const { f } = t;
  const { insn } = t.site;
  const bits = t.addressBits(insn.memoryBase, Register.None);
  const at = f.temporary(I64);
  t.getGpr(3);
  t.getRegister(Register.AL);
  f.op("i64_add");
  t.cutTo(bits);
  t.linear(addressSegment(t), 1, "read", bits);
  f.set(at);
  t.load(at, 1);
  t.setRegister(Register.AL);
  f.release(I64, at);
}

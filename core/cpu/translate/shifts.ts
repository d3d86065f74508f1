// Shifts and rotates, by an immediate or by CL.
import { OpKind } from "iced-x86";
import { CC, CF, OF } from "../lazy_flags.ts";
import { operandSize } from "./operand_size.ts";
import { maskOf, type Size, type Translation } from "./translation.ts";
import { I64, type Local, type OpName } from "./wasm.ts";

/** The count in a local, masked as the CPU does, and as a number where it is immediate. */
function count(
  t: Translation,
  operand: number,
  size: Size,
): { local: Local; known: number | undefined } {
  const { f } = t;
  const mask = size === 8 ? 0x3f : 0x1f;
  const local = f.temporary(I64);
  if (t.site.insn.opKind(operand) === OpKind.Register) {
    t.getGpr(1);
    f.i64(mask);
    f.op("i64_and");
    f.set(local);
    return { local, known: undefined };
  }
  const known = Number(t.site.insn.immediate(operand) & BigInt(mask));
  f.i64(known);
  f.set(local);
  return { local, known };
}

/** Sets flags by `emit` if the count is not zero. */
function unlessZero(
  t: Translation,
  by: { local: Local; known: number | undefined },
  emit: () => void,
): void {
  if (by.known === 0 || t.site.flagsDead) return;
  if (by.known !== undefined) return emit();
  t.f.get(by.local);
  t.f.op("i64_eqz", "i32_eqz");
  t.maybe(emit);
}

/** SHL, SHR, SAR. */
export function shift(operation: "i64_shl" | "i64_shr_u" | "i64_shr_s", flags: number) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const by = count(t, 1, size);
    const last = f.temporary(I64);
    const { old, result } = t.modify(0, size, (old, result) => {
      // One less first: what is shifted out last is CF. With a count of zero this is not looked at.
      f.get(old);
      if (operation === "i64_shr_s") t.signExtend(size);
      f.get(by.local);
      f.i64(1);
      f.op("i64_sub", operation);
      f.set(last);
      f.get(old);
      if (operation === "i64_shr_s") t.signExtend(size);
      f.get(by.local);
      f.op(operation);
      t.cut(size);
      f.set(result);
    });
    unlessZero(t, by, () => t.setFlags(flags, size, result, last));
    f.release(I64, old, result, last, by.local);
  };
}

/** Leaves bit `n` of a local as 0 or 1. */
function bit(t: Translation, local: Local, n: number): void {
  t.f.get(local);
  t.f.i64(n);
  t.f.op("i64_shr_u");
  t.f.i64(1);
  t.f.op("i64_and");
}

/** CF from the stack (0 or 1, i64), OF as the exclusive or of two bits; the other flags stay. */
function setCarryAndOverflow(t: Translation, carry: () => void, overflow: () => void): void {
  const { f } = t;
  t.flagBits();
  f.i64(~(CF | OF));
  f.op("i64_and");
  carry();
  f.op("i64_or");
  overflow();
  f.i64(11);
  f.op("i64_shl", "i64_or");
  t.setFlagBits();
}

/** ROL, ROR. */
export function rotate(left: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const bits = 8 * size;
    const by = count(t, 1, size);
    const { old, result } = t.modify(0, size, (old, result) => {
      if (size === 8) {
        f.get(old);
        f.get(by.local);
        f.op(left ? "i64_rotl" : "i64_rotr");
      } else {
        const amount = f.temporary(I64);
        f.get(by.local);
        f.i64(bits - 1);
        f.op("i64_and");
        f.set(amount);
        const part = (operation: OpName, complement: boolean) => {
          f.get(old);
          if (complement) f.i64(bits);
          f.get(amount);
          if (complement) f.op("i64_sub");
          f.op(operation);
        };
        part(left ? "i64_shl" : "i64_shr_u", false);
        part(left ? "i64_shr_u" : "i64_shl", true);
        f.op("i64_or");
        t.cut(size);
        f.release(I64, amount);
      }
      f.set(result);
    });
    unlessZero(t, by, () => {
      const [carryBit, other] = left ? [0, bits - 1] : [bits - 1, bits - 2];
      setCarryAndOverflow(t, () => bit(t, result, carryBit), () => {
        bit(t, result, carryBit);
        bit(t, result, other);
        f.op("i64_xor");
      });
    });
    f.release(I64, old, result, by.local);
  };
}

/** RCL, RCR: bit by bit, as they are rare. */
export function rotateThroughCarry(left: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const bits = 8 * size;
    const by = count(t, 1, size);
    const [carry, next, rest] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
    t.carry();
    f.op("i64_extend_i32_u");
    f.set(carry);
    f.get(by.local);
    if (size < 4) {
      f.i64(bits + 1);
      f.op("i64_rem_u");
    }
    f.set(rest);
    const { old, result } = t.modify(0, size, (old, result) => {
      f.get(old);
      f.set(result);
      const done = f.open("block");
      const again = f.open("loop");
      f.get(rest);
      f.op("i64_eqz");
      f.branch("br_if", done);
      bit(t, result, left ? bits - 1 : 0);
      f.set(next);
      f.get(result);
      f.i64(1);
      f.op(left ? "i64_shl" : "i64_shr_u");
      f.get(carry);
      if (!left) {
        f.i64(bits - 1);
        f.op("i64_shl");
      }
      f.op("i64_or");
      t.cut(size);
      f.set(result);
      f.get(next);
      f.set(carry);
      f.get(rest);
      f.i64(1);
      f.op("i64_sub");
      f.set(rest);
      f.branch("br", again);
      f.end();
      f.end();
    });
    unlessZero(t, by, () =>
      setCarryAndOverflow(t, () => f.get(carry), () => {
        bit(t, result, bits - 1);
        if (left) f.get(carry);
        else bit(t, result, bits - 2);
        f.op("i64_xor");
      }));
    f.release(I64, old, result, carry, next, rest, by.local);
  };
}

/**
 * SHLD, SHRD: operand 1 fills what operand 0 loses. Of 16 bits, counts above 16 are undefined in the SDM; AMD CPUs go on
 * filling with operand 1 again, and so is it done here.
 */
export function doubleShift(left: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const by = count(t, 2, size);
    const [second, last] = [f.temporary(I64), f.temporary(I64)];
    t.read(1, size);
    f.set(second);
    const width = size === 2 ? 32 : 8 * size;
    if (size === 2) {
      f.get(second);
      f.i64(0x10001);
      f.op("i64_mul");
      f.set(second);
    }
    const { old, result } = t.modify(0, size, (old, result) => {
      f.get(old);
      f.get(by.local);
      f.i64(1);
      f.op("i64_sub", left ? "i64_shl" : "i64_shr_u");
      f.set(last);
      f.get(old);
      f.get(by.local);
      f.op(left ? "i64_shl" : "i64_shr_u");
      fill(t, left, size, width, second, by.local);
      f.op("i64_or");
      // A count of zero would shift the filler by the whole width: keep the old value.
      f.get(old);
      f.get(by.local);
      f.op("i64_eqz", "i32_eqz", "select");
      f.i64(maskOf(size));
      f.op("i64_and");
      f.set(result);
    });
    unlessZero(t, by, () => t.setFlags(left ? CC.SHL : CC.SHR, size, result, last));
    f.release(I64, old, result, second, last, by.local);
  };
}

/** Leaves what fills the place that the shift has made: to the right of it, or to the left. */
function fill(
  t: Translation,
  left: boolean,
  size: Size,
  width: number,
  second: Local,
  by: Local,
): void {
  const { f } = t;
  f.get(second);
  if (left) {
    f.i64(width);
    f.get(by);
    f.op("i64_sub", "i64_shr_u");
    return;
  }
  f.i64(8 * size);
  f.get(by);
  f.op("i64_sub");
  if (size > 2) return f.op("i64_shl");
  // The operand's width less the count may be negative: shift to the right then.
  const amount = f.temporary(I64);
  f.set(amount);
  f.get(amount);
  f.op("i64_shl");
  f.get(second);
  f.i64(0);
  f.get(amount);
  f.op("i64_sub", "i64_shr_u");
  f.get(amount);
  f.i64(0);
  f.op("i64_ge_s", "select");
  f.release(I64, amount);
}

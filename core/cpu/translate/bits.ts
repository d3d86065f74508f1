// Bit tests, scans and counts.
import { OpKind } from "iced-x86";
import { CC, CF } from "../lazy_flags.ts";
import { operandSize } from "./operand_size.ts";
import { addressSegment } from "./segments.ts";
import { logOf, type Size, type Translation } from "./translation.ts";
import { I32, I64, type Local } from "./wasm.ts";

/** CF from an i64 (0 or 1) in a local; the other flags stay (the SDM leaves all but ZF undefined). */
function setCarry(t: Translation, carry: Local): void {
  if (t.site.flagsDead) return;
  t.flagBits();
  t.f.i64(~CF);
  t.f.op("i64_and");
  t.f.get(carry);
  t.f.op("i64_or");
  t.setFlagBits();
}

/** What BT, BTS, BTR and BTC do with the bit. */
export type BitChange = "none" | "set" | "reset" | "complement";

const CHANGES = { set: ["i64_or"], complement: ["i64_xor"], reset: [] } as const;

export function bitTest(change: BitChange) {
  return (t: Translation): void => {
    const { f } = t;
    const { insn } = t.site;
    const size = operandSize(insn, 0);
    const byRegister = insn.op1Kind === OpKind.Register;
    const [index, carry, value] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
    t.read(1, size);
    f.set(index);

    const changed = (old: Local, result: Local) => {
      f.get(old);
      f.get(index);
      f.op("i64_shr_u");
      f.i64(1);
      f.op("i64_and");
      f.set(carry);
      f.get(old);
      f.i64(1);
      f.get(index);
      f.op("i64_shl");
      if (change === "reset") {
        f.i64(-1);
        f.op("i64_xor", "i64_and");
      } else if (change !== "none") f.op(...CHANGES[change]);
      else f.op("drop");
      t.cut(size);
      f.set(result);
    };
    const maskIndex = () => {
      f.get(index);
      f.i64(8 * size - 1);
      f.op("i64_and");
      f.set(index);
    };
    if (t.isMemory(0) && byRegister) {
      bitString(t, size, index, changed, change !== "none", maskIndex);
    } else {
      maskIndex();
      if (change === "none") {
        t.read(0, size);
        f.set(value);
        changed(value, value);
      } else {
        const { old, result } = t.modify(0, size, changed);
        f.release(I64, old, result);
      }
    }
    setCarry(t, carry);
    f.release(I64, index, carry, value);
  };
}

/** A register index into memory reaches as far as its sign and size allow: the operand is the word that holds the bit. */
function bitString(
  t: Translation,
  size: Size,
  index: Local,
  changed: (old: Local, result: Local) => void,
  writes: boolean,
  maskIndex: () => void,
): void {
  const { f } = t;
  const [at, old, result] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
  t.effectiveAddress();
  f.get(index);
  t.signExtend(size);
  f.i64(3 + logOf(size));
  f.op("i64_shr_s");
  f.i64(logOf(size));
  f.op("i64_shl", "i64_add");
  const bits = t.addressBits(t.site.insn.memoryBase, t.site.insn.memoryIndex);
  t.cutTo(bits);
  t.linear(addressSegment(t), size, writes ? "write" : "read", bits);
  f.set(at);
  maskIndex();
  if (writes) t.modifyAt(at, size, old, result, changed);
  else {
    t.load(at, size);
    f.set(old);
    changed(old, result);
  }
  f.release(I64, at, old, result);
}

/** BSF, BSR: of zero, the destination stays (AMD64 manual vol. 3) and only ZF is set. */
export function bitScan(reverse: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const register = t.site.insn.op0Register;
    const size = operandSize(t.site.insn, 0);
    const value = f.temporary(I64);
    t.read(1, size);
    f.set(value);
    f.get(value);
    f.op("i64_eqz", "i32_eqz");
    f.open("if");
    if (reverse) f.i64(63);
    f.get(value);
    f.op(reverse ? "i64_clz" : "i64_ctz");
    if (reverse) f.op("i64_sub");
    t.setRegister(register);
    f.end();
    t.setFlags(CC.LOGIC, size, value);
    f.release(I64, value);
  };
}

/** TZCNT, LZCNT: CF if the source is zero, ZF if the result is. */
export function zeroCount(leading: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const [value, result, flags] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
    t.read(1, size);
    f.set(value);
    f.get(value);
    if (leading) {
      f.op("i64_clz");
      f.i64(64 - 8 * size);
      f.op("i64_sub");
    } else {
      // A bit above the operand bounds the count of trailing zeros.
      if (size < 8) {
        f.i64(1n << BigInt(8 * size));
        f.op("i64_or");
      }
      f.op("i64_ctz");
    }
    f.set(result);
    f.get(value);
    f.op("i64_eqz", "i64_extend_i32_u");
    f.get(result);
    f.op("i64_eqz", "i64_extend_i32_u");
    f.i64(6);
    f.op("i64_shl", "i64_or");
    f.set(flags);
    f.get(result);
    t.setRegister(t.site.insn.op0Register);
    f.get(flags);
    t.setFlagBits();
    f.release(I64, value, result, flags);
  };
}

/** POPCNT: ZF if the source is zero, the other flags clear. */
export function popcnt(t: Translation): void {
  const { f } = t;
  const size = operandSize(t.site.insn, 0);
  const [value, is] = [f.temporary(I64), f.temporary(I32)];
  t.read(1, size);
  f.set(value);
  f.get(value);
  f.op("i64_popcnt");
  t.setRegister(t.site.insn.op0Register);
  f.get(value);
  f.op("i64_eqz", "i64_extend_i32_u");
  f.i64(6);
  f.op("i64_shl");
  t.setFlagBits();
  f.release(I64, value);
  f.release(I32, is);
}

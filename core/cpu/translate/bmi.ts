// BMI1 and BMI2 (SDM vol. 2). What has a VEX prefix takes its operands from more places than two.
import { CR0 as CR0_BITS, RFLAGS, VECTOR } from "../../base/registers.ts";
import { CC, SF, ZF } from "../lazy_flags.ts";
import { CR0, FLAGS_REST } from "../layout.ts";
import { operandSize } from "./operand_size.ts";
import type { Size, Translation } from "./translation.ts";
import { I64, type Local } from "./wasm.ts";

type Emit = (t: Translation) => void;

/** VEX prefixes exist in protected mode alone, and not in virtual-8086 mode (SDM vol. 2, 2.8). */
function requireProtected(t: Translation): void {
  const { f } = t;
  // No other mode has 64-bit code.
  if (t.mode.bits === 64) return;
  f.i32(0);
  f.memory("i32_load", CR0);
  f.i32(CR0_BITS.PE);
  f.op("i32_and", "i32_eqz");
  f.i32(0);
  f.memory("i32_load", FLAGS_REST);
  f.i32(RFLAGS.VM);
  f.op("i32_and", "i32_or");
  f.open("if");
  t.raise(VECTOR.UD);
  f.end();
}

/** An instruction with a VEX prefix, given the size of its operands. */
function vex(emit: (t: Translation, size: Size) => void): Emit {
  return (t) => {
    requireProtected(t);
    emit(t, operandSize(t.site.insn, 0));
  };
}

/** Runs `emit` with operand `n` in a local. */
function withOperand(t: Translation, n: number, size: Size, emit: (value: Local) => void): void {
  const value = t.f.temporary(I64);
  t.read(n, size);
  t.f.set(value);
  emit(value);
  t.f.release(I64, value);
}

/** Runs `emit`, which leaves a value, and puts that into operand 0; `flags` may look at it. */
function result(t: Translation, emit: () => void, flags?: (result: Local) => void): void {
  const value = t.f.temporary(I64);
  emit();
  t.f.set(value);
  t.write(0, operandSize(t.site.insn, 0), value);
  if (flags && !t.site.flagsDead) flags(value);
  t.f.release(I64, value);
}

/** SF and ZF of a result, CF from an i32 that `carry` leaves; OF, AF and PF are clear. */
function setSignZeroCarry(t: Translation, size: Size, value: Local, carry: () => void): void {
  const { f } = t;
  f.get(value);
  f.i64(8 * size - 8);
  f.op("i64_shr_u");
  f.i64(SF);
  f.op("i64_and");
  f.get(value);
  f.op("i64_eqz", "i64_extend_i32_u");
  f.i64(Math.log2(Number(ZF)));
  f.op("i64_shl", "i64_or");
  carry();
  f.op("i64_extend_i32_u", "i64_or");
  t.setFlagBits();
}

export const andn: Emit = vex((t, size) => {
  const { f } = t;
  withOperand(t, 2, size, (second) =>
    result(t, () => {
      t.read(1, size);
      f.i64(-1);
      f.op("i64_xor");
      f.get(second);
      f.op("i64_and");
    }, (value) => t.setFlags(CC.LOGIC, size, value)));
});

/** BLSI, BLSMSK, BLSR: what the source less one tells of its lowest set bit. BLSI's CF is the other way round. */
export function lowestBit(which: "isolate" | "mask" | "reset"): Emit {
  return vex((t, size) => {
    const { f } = t;
    withOperand(t, 1, size, (source) =>
      result(t, () => {
        if (which === "isolate") f.i64(0);
        f.get(source);
        if (which === "isolate") f.op("i64_sub");
        else {
          f.i64(1);
          f.op("i64_sub");
        }
        f.get(source);
        f.op(which === "mask" ? "i64_xor" : "i64_and");
        t.cut(size);
      }, (value) =>
        setSignZeroCarry(t, size, value, () => {
          f.get(source);
          f.op("i64_eqz");
          if (which === "isolate") f.op("i32_eqz");
        })));
  });
}

/** Leaves the low byte of a local, shifted right by `by`. */
function byteOf(t: Translation, value: Local, by = 0): void {
  t.f.get(value);
  if (by) {
    t.f.i64(by);
    t.f.op("i64_shr_u");
  }
  t.f.i64(0xff);
  t.f.op("i64_and");
}

/** Leaves a value with all bits from `count` on cleared; a count of 64 or more clears none. Both are in locals. */
function keepLow(t: Translation, value: Local, count: Local): void {
  const { f } = t;
  f.get(value);
  f.get(value);
  f.i64(-1);
  f.get(count);
  f.op("i64_shl");
  f.i64(-1);
  f.op("i64_xor", "i64_and");
  f.get(count);
  f.i64(64);
  f.op("i64_ge_u", "select");
}

/** BEXTR: start and length are bytes of operand 2. */
export const extractField: Emit = vex((t, size) => {
  const { f } = t;
  withOperand(t, 2, size, (control) =>
    withOperand(t, 1, size, (source) => {
      const [count, field] = [f.temporary(I64), f.temporary(I64)];
      byteOf(t, control);
      f.set(count);
      f.get(source);
      f.get(count);
      f.op("i64_shr_u");
      f.i64(0);
      f.get(count);
      f.i64(64);
      f.op("i64_lt_u", "select");
      f.set(field);
      byteOf(t, control, 8);
      f.set(count);
      result(t, () => keepLow(t, field, count), (value) => t.setFlags(CC.LOGIC, size, value));
      f.release(I64, count, field);
    }));
});

/** BZHI: CF where the index lies beyond the operand. */
export const zeroHigh: Emit = vex((t, size) => {
  const { f } = t;
  withOperand(t, 2, size, (index) =>
    withOperand(t, 1, size, (source) => {
      const count = f.temporary(I64);
      byteOf(t, index);
      f.set(count);
      result(t, () => keepLow(t, source, count), (value) =>
        setSignZeroCarry(t, size, value, () => {
          f.get(count);
          f.i64(8 * size);
          f.op("i64_ge_u");
        }));
      f.release(I64, count);
    }));
});

const RDX = 2;

/** MULX: RDX times operand 2; where both destinations are one register, it takes the upper half. */
export const multiplyNoFlags: Emit = vex((t, size) => {
  const { f } = t;
  const { insn } = t.site;
  withOperand(t, 2, size, (source) => {
    const [low, high] = [f.temporary(I64), f.temporary(I64)];
    t.getPart(RDX, size === 8 ? 64 : 32);
    f.get(source);
    f.op("i64_mul");
    f.set(low);
    if (size === 8) {
      t.getGpr(RDX);
      f.get(source);
      t.call("multiplyHighUnsigned");
    } else {
      f.get(low);
      f.i64(32);
      f.op("i64_shr_u");
    }
    f.set(high);
    f.get(low);
    t.cut(size);
    t.setRegister(insn.op1Register);
    f.get(high);
    t.setRegister(insn.op0Register);
    f.release(I64, low, high);
  });
});

/** PDEP, PEXT: bit by bit of the mask, operand 2, from the lowest on. */
export function gather(deposit: boolean): Emit {
  return vex((t, size) => {
    const { f } = t;
    withOperand(t, 2, size, (mask) =>
      withOperand(t, 1, size, (source) => {
        const [bit, counted, value] = [1, 2, 3].map(() => f.temporary(I64)) as [
          Local,
          Local,
          Local,
        ];
        f.i64(0);
        f.set(value);
        f.i64(1);
        f.set(counted);
        const done = f.open("block");
        const again = f.open("loop");
        f.get(mask);
        f.op("i64_eqz");
        f.branch("br_if", done);
        // The mask's lowest bit; the one that it goes with counts up.
        f.i64(0);
        f.get(mask);
        f.op("i64_sub");
        f.get(mask);
        f.op("i64_and");
        f.set(bit);
        f.get(value);
        f.get(deposit ? bit : counted);
        f.i64(0);
        f.get(source);
        f.get(deposit ? counted : bit);
        f.op("i64_and");
        f.i64(0);
        f.op("i64_ne", "select", "i64_or");
        f.set(value);
        f.get(counted);
        f.i64(1);
        f.op("i64_shl");
        f.set(counted);
        f.get(mask);
        f.get(bit);
        f.op("i64_xor");
        f.set(mask);
        f.branch("br", again);
        f.end();
        f.end();
        result(t, () => f.get(value));
        f.release(I64, bit, counted, value);
      }));
  });
}

/** SARX, SHLX, SHRX: by operand 2. */
export function shiftNoFlags(operation: "i64_shl" | "i64_shr_u" | "i64_shr_s"): Emit {
  return vex((t, size) => {
    const { f } = t;
    withOperand(t, 1, size, (source) =>
      result(t, () => {
        f.get(source);
        if (operation === "i64_shr_s") t.signExtend(size);
        t.read(2, size);
        f.i64(8 * size - 1);
        f.op("i64_and", operation);
        t.cut(size);
      }));
  });
}

/** RORX: by an immediate. */
export const rotateNoFlags: Emit = vex((t, size) => {
  const { f } = t;
  const by = Number(t.site.insn.immediate(2)) & (8 * size - 1);
  withOperand(t, 1, size, (source) =>
    result(t, () => {
      f.get(source);
      f.i64(by);
      f.op(size === 8 ? "i64_rotr" : "i64_shr_u");
      if (size === 8) return;
      f.get(source);
      f.i64(32 - by);
      f.op("i64_shl", "i64_or");
      t.cut(size);
    }));
});

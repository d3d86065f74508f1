// Addition, subtraction, logic and comparison; ADX.
import { Register } from "iced-x86";
import { CC, CF, OF } from "../lazy_flags.ts";
import { operandSize } from "./operand_size.ts";
import type { Size, Translation } from "./translation.ts";
import { I32, I64, type Local, type OpName } from "./wasm.ts";

/** Runs `use` with operand 1 in a local. */
function withSecond(t: Translation, size: Size, use: (second: Local) => void): void {
  const second = t.f.temporary(I64);
  t.read(1, size);
  t.f.set(second);
  use(second);
  t.f.release(I64, second);
}

function combine(
  t: Translation,
  operation: OpName,
  left: Local,
  right: Local,
  size: Size,
  result: Local,
): void {
  t.f.get(left);
  t.f.get(right);
  t.f.op(operation);
  t.cut(size);
  t.f.set(result);
}

/** ADD, SUB, AND, OR, XOR. */
export function binary(operation: OpName, flags: number) {
  return (t: Translation): void => {
    const size = operandSize(t.site.insn, 0);
    withSecond(t, size, (second) => {
      const { old, result } = t.modify(
        0,
        size,
        (old, result) => combine(t, operation, old, second, size, result),
      );
      t.setFlags(flags, size, result, flags === CC.LOGIC ? undefined : second);
      t.f.release(I64, old, result);
    });
  };
}

/** ADC, SBB. */
export function withCarry(operation: "i64_add" | "i64_sub", flags: number) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const carry = f.temporary(I32);
    t.carry();
    f.set(carry);
    withSecond(t, size, (second) => {
      const { old, result } = t.modify(0, size, (old, result) => {
        f.get(old);
        f.get(second);
        f.op(operation);
        f.get(carry);
        f.op("i64_extend_i32_u", operation);
        t.cut(size);
        f.set(result);
      });
      t.setFlags(flags, size, result, second, carry);
      f.release(I64, old, result);
    });
    f.release(I32, carry);
  };
}

/** CMP, TEST: as SUB and AND, and nothing is written. */
export function compare(operation: "i64_sub" | "i64_and", flags: number) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const [first, result] = [f.temporary(I64), f.temporary(I64)];
    t.read(0, size);
    f.set(first);
    withSecond(t, size, (second) => {
      combine(t, operation, first, second, size, result);
      t.setFlags(flags, size, result, flags === CC.LOGIC ? undefined : second);
    });
    f.release(I64, first, result);
  };
}

/** INC, DEC: CF stays. */
export function step(operation: "i64_add" | "i64_sub", flags: number) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const carry = f.temporary(I64);
    t.carry();
    f.op("i64_extend_i32_u");
    f.set(carry);
    const { old, result } = t.modify(0, size, (old, result) => {
      f.get(old);
      f.i64(1);
      f.op(operation);
      t.cut(size);
      f.set(result);
    });
    t.setFlags(flags, size, result, carry);
    f.release(I64, old, result, carry);
  };
}

/** NEG: a subtraction from zero. */
export function neg(t: Translation): void {
  const { f } = t;
  const size = operandSize(t.site.insn, 0);
  const { old, result } = t.modify(0, size, (old, result) => {
    f.i64(0);
    f.get(old);
    f.op("i64_sub");
    t.cut(size);
    f.set(result);
  });
  t.setFlags(CC.SUB, size, result, old);
  f.release(I64, old, result);
}

/** NOT: no flags. */
export function not(t: Translation): void {
  const { f } = t;
  const size = operandSize(t.site.insn, 0);
  const { old, result } = t.modify(0, size, (old, result) => {
    f.get(old);
    f.i64(-1);
    f.op("i64_xor");
    t.cut(size);
    f.set(result);
  });
  f.release(I64, old, result);
}

/** XADD: the sum goes to operand 0, the old value to operand 1; of one and the same register, the sum stays. */
export function xadd(t: Translation): void {
  const { f } = t;
  const { insn } = t.site;
  const size = operandSize(insn, 0);
  const register = insn.op1Register;
  withSecond(t, size, (second) => {
    if (t.isMemory(0)) {
      const { old, result } = t.modify(
        0,
        size,
        (old, result) => combine(t, "i64_add", old, second, size, result),
      );
      f.get(old);
      t.setRegister(register);
      t.setFlags(CC.ADD, size, result, second);
      f.release(I64, old, result);
      return;
    }
    const [old, result] = [f.temporary(I64), f.temporary(I64)];
    t.read(0, size);
    f.set(old);
    combine(t, "i64_add", old, second, size, result);
    f.get(old);
    t.setRegister(register);
    t.write(0, size, result);
    t.setFlags(CC.ADD, size, result, second);
    f.release(I64, old, result);
  });
}

/**
 * CMPXCHG. Memory is written in either case, as the SDM says; a register only when they are equal, so that the upper half of
 * a 32-bit one stays otherwise (as AMD and Intel CPUs do); the accumulator only when they are not.
 */
export function cmpxchg(t: Translation): void {
  const { f } = t;
  const { insn } = t.site;
  const size = operandSize(insn, 0);
  const accumulator = f.temporary(I64);
  t.getGpr(0);
  t.cut(size);
  f.set(accumulator);
  withSecond(t, size, (second) => {
    const [old, difference] = [f.temporary(I64), f.temporary(I64)];
    if (t.isMemory(0)) {
      const exchange = t.modify(0, size, (old, result) => {
        f.get(second);
        f.get(old);
        f.get(accumulator);
        f.get(old);
        f.op("i64_eq", "select");
        f.set(result);
      });
      f.get(exchange.old);
      f.set(old);
      f.release(I64, exchange.old, exchange.result);
    } else {
      t.read(0, size);
      f.set(old);
      f.get(accumulator);
      f.get(old);
      f.op("i64_eq");
      f.open("if");
      t.write(0, size, second);
      f.end();
    }
    combine(t, "i64_sub", accumulator, old, size, difference);
    t.setFlags(CC.SUB, size, difference, old);
    f.get(difference);
    f.op("i64_eqz", "i32_eqz");
    f.open("if");
    f.get(old);
    t.setRegister(ACCUMULATORS[size]);
    f.end();
    f.release(I64, old, difference);
  });
  f.release(I64, accumulator);
}

const ACCUMULATORS = { 1: Register.AL, 2: Register.AX, 4: Register.EAX, 8: Register.RAX } as const;

/** ADCX, ADOX: the carry is CF or OF, and the other flags stay. */
function addCarry(flag: bigint) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const at = Math.log2(Number(flag));
    withSecond(t, size, (second) => {
      const [first, flags] = [f.temporary(I64), f.temporary(I64)];
      const [carry, sum] = [f.temporary(I64), f.temporary(I64)];
      t.read(0, size);
      f.set(first);
      t.flagBits();
      f.set(flags);
      f.get(flags);
      f.i64(at);
      f.op("i64_shr_u");
      f.i64(1);
      f.op("i64_and");
      f.set(carry);
      f.get(first);
      f.get(second);
      f.op("i64_add");
      f.get(carry);
      f.op("i64_add");
      t.cut(size);
      f.set(sum);
      // With a carry in, a sum as great as an operand has gone round too.
      f.get(sum);
      f.get(first);
      f.op("i64_le_u");
      f.get(sum);
      f.get(first);
      f.op("i64_lt_u");
      f.get(carry);
      f.op("i32_wrap_i64", "select", "i64_extend_i32_u");
      f.i64(at);
      f.op("i64_shl");
      f.get(flags);
      f.i64(~flag);
      f.op("i64_and", "i64_or");
      f.get(sum);
      t.setRegister(t.site.insn.op0Register);
      t.setFlagBits();
      f.release(I64, first, flags, carry, sum);
    });
  };
}

export const addWithCarry = addCarry(CF);
export const addWithOverflow = addCarry(OF);

// Multiplication and division.
import { VECTOR } from "../../base/registers.ts";
import { CC } from "../lazy_flags.ts";
import { DIVISION } from "../layout.ts";
import { operandSize } from "./operand_size.ts";
import type { Size, Translation } from "./translation.ts";
import { I64, type Local } from "./wasm.ts";

const RAX = 0, RDX = 2;
type Bits = 16 | 32 | 64;

/** Leaves a part of RAX or RDX, extended to 64 bits. */
function part(t: Translation, index: number, size: Size, signed: boolean): void {
  t.getGpr(index);
  t.cut(size);
  if (signed) t.signExtend(size);
}

/** MUL and IMUL of one operand: RDX:RAX (AX) = RAX (AL) x operand. */
export function multiplyWide(signed: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const size = operandSize(t.site.insn, 0);
    const bits = 8 * size;
    const [first, second, low, high, over] = [1, 2, 3, 4, 5].map(() => f.temporary(I64)) as [
      Local,
      Local,
      Local,
      Local,
      Local,
    ];
    t.read(0, size);
    if (signed) t.signExtend(size);
    f.set(second);
    part(t, RAX, size, signed);
    f.set(first);
    f.get(first);
    f.get(second);
    f.op("i64_mul");
    f.set(low);
    if (size === 8) {
      f.get(first);
      f.get(second);
      t.call(signed ? "multiplyHighSigned" : "multiplyHighUnsigned");
    } else {
      f.get(low);
      f.i64(bits);
      f.op("i64_shr_u");
      t.cut(size);
    }
    f.set(high);
    f.get(low);
    t.cut(size);
    f.set(low);
    // The upper half is significant when it is not just the lower one's extension.
    f.get(high);
    if (signed) {
      f.get(low);
      t.signExtend(size);
      f.i64(63);
      f.op("i64_shr_s");
      t.cut(size);
    } else f.i64(0);
    f.op("i64_ne", "i64_extend_i32_u");
    f.set(over);
    if (size === 1) {
      f.get(high);
      f.i64(8);
      f.op("i64_shl");
      f.get(low);
      f.op("i64_or");
      t.setPart(RAX, 16);
    } else {
      f.get(low);
      t.setPart(RAX, bits as Bits);
      f.get(high);
      t.setPart(RDX, bits as Bits);
    }
    t.setFlags(CC.MUL, size, low, over);
    f.release(I64, first, second, low, high, over);
  };
}

/** IMUL of two or three operands. */
export function multiply(t: Translation): void {
  const { f } = t;
  const { insn } = t.site;
  const size = operandSize(insn, 0);
  const [first, second] = [f.temporary(I64), f.temporary(I64)];
  const factors = insn.opCount === 3 ? [1, 2] : [0, 1];
  factors.forEach((operand, i) => {
    t.read(operand, size);
    t.signExtend(size);
    f.set(i === 0 ? first : second);
  });
  f.get(first);
  f.get(second);
  f.op("i64_mul");
  t.cut(size);
  t.setRegister(insn.op0Register);
  t.setFlags(CC.IMUL, size, first, second);
  f.release(I64, first, second);
}

/** Raises #DE if the i32 on the stack is not zero. */
function divideErrorIf(t: Translation): void {
  t.f.open("if");
  t.raise(VECTOR.DE);
  t.f.end();
}

/** DIV, IDIV. Flags are undefined in the SDM; they stay. */
export function divide(signed: boolean) {
  return (t: Translation): void => {
    const size = operandSize(t.site.insn, 0);
    if (size === 8) return divideLong(t, signed);
    const { f } = t;
    const bits = 8 * size;
    const [divisor, dividend, quotient, remainder] = [1, 2, 3, 4].map(() => f.temporary(I64)) as [
      Local,
      Local,
      Local,
      Local,
    ];
    t.read(0, size);
    if (signed) t.signExtend(size);
    f.set(divisor);
    if (size === 1) part(t, RAX, 2, signed);
    else {
      part(t, RDX, size, false);
      f.i64(bits);
      f.op("i64_shl");
      part(t, RAX, size, false);
      f.op("i64_or");
      if (signed && size === 2) t.signExtend(4);
    }
    f.set(dividend);
    f.get(divisor);
    f.op("i64_eqz");
    divideErrorIf(t);
    if (signed) {
      // The one signed division that WebAssembly traps on.
      f.get(dividend);
      f.i64(-(1n << 63n));
      f.op("i64_eq");
      f.get(divisor);
      f.i64(-1);
      f.op("i64_eq", "i32_and");
      divideErrorIf(t);
    }
    f.get(dividend);
    f.get(divisor);
    f.op(signed ? "i64_div_s" : "i64_div_u");
    f.set(quotient);
    f.get(quotient);
    f.get(quotient);
    t.cut(size);
    if (signed) t.signExtend(size);
    f.op("i64_ne");
    divideErrorIf(t);
    f.get(dividend);
    f.get(divisor);
    f.op(signed ? "i64_rem_s" : "i64_rem_u");
    t.cut(size);
    f.set(remainder);
    f.get(quotient);
    t.cut(size);
    if (size === 1) {
      f.get(remainder);
      f.i64(8);
      f.op("i64_shl", "i64_or");
      t.setPart(RAX, 16);
    } else {
      t.setPart(RAX, bits as Bits);
      f.get(remainder);
      t.setPart(RDX, bits as Bits);
    }
    f.release(I64, divisor, dividend, quotient, remainder);
  };
}

/** 128 by 64 bits: in TypeScript, unless the upper half is only the lower one's extension. */
function divideLong(t: Translation, signed: boolean): void {
  const { f } = t;
  const divisor = f.temporary(I64);
  const quotient = f.temporary(I64);
  t.read(0, 8);
  f.set(divisor);
  f.get(divisor);
  f.op("i64_eqz");
  divideErrorIf(t);
  t.getGpr(RDX);
  if (signed) {
    t.getGpr(RAX);
    f.i64(63);
    f.op("i64_shr_s", "i64_eq");
    // -2^63 / -1 overflows: leave that to the slow path too.
    f.get(divisor);
    f.i64(-1);
    f.op("i64_ne", "i32_and");
  } else f.op("i64_eqz");
  f.open("if");
  t.getGpr(RAX);
  f.get(divisor);
  f.op(signed ? "i64_div_s" : "i64_div_u");
  f.set(quotient);
  t.getGpr(RAX);
  f.get(divisor);
  f.op(signed ? "i64_rem_s" : "i64_rem_u");
  t.setGpr(RDX);
  f.get(quotient);
  t.setGpr(RAX);
  f.else();
  t.getGpr(RDX);
  t.getGpr(RAX);
  f.get(divisor);
  f.i32(signed ? 1 : 0);
  t.call("divide");
  t.bailIfAsked();
  for (const [index, offset] of [[RAX, 0], [RDX, 8]] as const) {
    f.i32(0);
    f.memory("i64_load", DIVISION + offset);
    t.setGpr(index);
  }
  f.end();
  f.release(I64, divisor, quotient);
}

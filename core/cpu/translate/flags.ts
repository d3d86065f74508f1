// The status flags as WebAssembly: the formulas of ../lazy_flags.ts, emitted where a flag is read. Each piece leaves an i32
// that is zero or not.
import { ConditionCode } from "iced-x86";
import { AF, CC, CF, OF, PF, SF, STATUS_FLAGS, ZF } from "../lazy_flags.ts";
import type { FunctionBody, Local } from "./wasm.ts";

/** Where the lazy state is, and what is known of the operation. */
export interface LazyState {
  readonly f: FunctionBody;
  readonly dst: Local;
  readonly src: Local;
  /** i32. */
  readonly aux: Local;
  /** `class * 4 + log2(bytes)`, known when this is emitted. */
  readonly op: number;
}

const bitsOf = (op: number) => 8 << (op & 3);
const signOf = (op: number) => 1n << BigInt(bitsOf(op) - 1);
const maskOf = (op: number) => (1n << BigInt(bitsOf(op))) - 1n;

/** Nonzero test of `local & mask`. */
function test(f: FunctionBody, local: Local, mask: bigint): void {
  f.get(local);
  f.i64(mask);
  f.op("i64_and");
  f.i64(0);
  f.op("i64_ne");
}

/** Leaves the value cut to the operation's size. */
function cut(f: FunctionBody, op: number): void {
  if (bitsOf(op) === 64) return;
  f.i64(maskOf(op));
  f.op("i64_and");
}

/** Leaves the result; for IMUL it is worked out. */
function result(s: LazyState): void {
  s.f.get(s.dst);
  if (s.op >> 2 !== CC.IMUL) return;
  s.f.get(s.src);
  s.f.op("i64_mul");
  cut(s.f, s.op);
}

/** Leaves the first operand of an addition or subtraction. */
function firstOperand(s: LazyState): void {
  const { f } = s;
  const kind = s.op >> 2;
  const subtract = kind === CC.SUB || kind === CC.SBB;
  f.get(s.dst);
  f.get(s.src);
  f.op(subtract ? "i64_add" : "i64_sub");
  if (kind === CC.ADC || kind === CC.SBB) {
    f.get(s.aux);
    f.op("i64_extend_i32_u", subtract ? "i64_add" : "i64_sub");
  }
  cut(f, s.op);
}

function signExtend(f: FunctionBody, op: number): void {
  const bits = bitsOf(op);
  if (bits === 8) f.op("i64_extend8_s");
  if (bits === 16) f.op("i64_extend16_s");
  if (bits === 32) f.op("i64_extend32_s");
}

export function carry(s: LazyState): void {
  const { f, op } = s;
  switch (op >> 2) {
    case CC.FLAGS:
      return test(f, s.src, CF);
    case CC.ADD:
      f.get(s.dst);
      f.get(s.src);
      return f.op("i64_lt_u");
    case CC.SUB:
      firstOperand(s);
      f.get(s.src);
      return f.op("i64_lt_u");
    case CC.ADC:
    case CC.SBB: {
      const left = () => op >> 2 === CC.ADC ? f.get(s.dst) : firstOperand(s);
      left();
      f.get(s.src);
      f.op("i64_le_u");
      left();
      f.get(s.src);
      f.op("i64_lt_u");
      f.get(s.aux);
      return f.op("select");
    }
    case CC.LOGIC:
      return f.i32(0);
    case CC.INC:
    case CC.DEC:
    case CC.MUL:
      f.get(s.src);
      return f.op("i32_wrap_i64");
    case CC.SHL:
      return test(f, s.src, signOf(op));
    case CC.SHR:
    case CC.SAR:
      return test(f, s.src, 1n);
    case CC.IMUL:
      return imulOverflow(s);
    default:
      throw new Error(`Unknown flag operation ${op}`);
  }
}

/** Does the signed product fit the size? For 64 bits, by division: no upper half is at hand. */
function imulOverflow(s: LazyState): void {
  const { f, op } = s;
  if (bitsOf(op) < 64) {
    f.get(s.dst);
    f.get(s.src);
    f.op("i64_mul");
    f.get(s.dst);
    f.get(s.src);
    f.op("i64_mul");
    signExtend(f, op);
    return f.op("i64_ne");
  }
  // a == 0: no overflow. a == -1: only when b is the least integer. Else a * b / a == b tells.
  f.get(s.dst);
  f.op("i64_eqz");
  f.open("if", 0x7f);
  f.i32(0);
  f.else();
  f.get(s.dst);
  f.i64(-1);
  f.op("i64_eq");
  f.open("if", 0x7f);
  f.get(s.src);
  f.i64(-(1n << 63n));
  f.op("i64_eq");
  f.else();
  f.get(s.dst);
  f.get(s.src);
  f.op("i64_mul");
  f.get(s.dst);
  f.op("i64_div_s");
  f.get(s.src);
  f.op("i64_ne");
  f.end();
  f.end();
}

export function overflow(s: LazyState): void {
  const { f, op } = s;
  const sign = signOf(op);
  switch (op >> 2) {
    case CC.FLAGS:
      return test(f, s.src, OF);
    case CC.ADD:
    case CC.ADC:
      firstOperand(s);
      f.get(s.dst);
      f.op("i64_xor");
      f.get(s.src);
      f.get(s.dst);
      f.op("i64_xor", "i64_and");
      f.i64(sign);
      f.op("i64_and", "i64_eqz");
      return f.op("i32_eqz");
    case CC.SUB:
    case CC.SBB:
      firstOperand(s);
      f.get(s.src);
      f.op("i64_xor");
      firstOperand(s);
      f.get(s.dst);
      f.op("i64_xor", "i64_and");
      f.i64(sign);
      f.op("i64_and", "i64_eqz");
      return f.op("i32_eqz");
    case CC.LOGIC:
    case CC.SAR:
      return f.i32(0);
    case CC.INC:
    case CC.DEC:
      f.get(s.dst);
      f.i64(op >> 2 === CC.INC ? sign : sign - 1n);
      return f.op("i64_eq");
    case CC.SHL:
    case CC.SHR:
      f.get(s.src);
      f.get(s.dst);
      f.op("i64_xor");
      f.i64(sign);
      f.op("i64_and", "i64_eqz");
      return f.op("i32_eqz");
    case CC.MUL:
    case CC.IMUL:
      return carry(s);
    default:
      throw new Error(`Unknown flag operation ${op}`);
  }
}

function zero(s: LazyState): void {
  if (s.op >> 2 === CC.FLAGS) return test(s.f, s.src, ZF);
  result(s);
  s.f.op("i64_eqz");
}

function sign(s: LazyState): void {
  if (s.op >> 2 === CC.FLAGS) return test(s.f, s.src, SF);
  result(s);
  s.f.i64(signOf(s.op));
  s.f.op("i64_and", "i64_eqz", "i32_eqz");
}

function parity(s: LazyState): void {
  if (s.op >> 2 === CC.FLAGS) return test(s.f, s.src, PF);
  result(s);
  s.f.i64(0xff);
  s.f.op("i64_and", "i64_popcnt", "i32_wrap_i64");
  s.f.i32(1);
  s.f.op("i32_and", "i32_eqz");
}

function adjust(s: LazyState): void {
  const { f } = s;
  switch (s.op >> 2) {
    case CC.FLAGS:
      return test(f, s.src, AF);
    case CC.ADD:
    case CC.SUB:
    case CC.ADC:
    case CC.SBB:
      firstOperand(s);
      f.get(s.src);
      f.op("i64_xor");
      f.get(s.dst);
      f.op("i64_xor");
      f.i64(AF);
      f.op("i64_and", "i64_eqz");
      return f.op("i32_eqz");
    case CC.INC:
    case CC.DEC:
      f.get(s.dst);
      f.i64(0xf);
      f.op("i64_and");
      f.i64(s.op >> 2 === CC.INC ? 0 : 0xf);
      return f.op("i64_eq");
    default:
      return f.i32(0);
  }
}

/** Leaves all six flags as an i64. */
export function allFlags(s: LazyState): void {
  const { f } = s;
  if (s.op >> 2 === CC.FLAGS) {
    f.get(s.src);
    f.i64(STATUS_FLAGS);
    return f.op("i64_and");
  }
  const pieces: [(s: LazyState) => void, bigint][] = [
    [carry, 0n],
    [parity, 2n],
    [adjust, 4n],
    [zero, 6n],
    [sign, 7n],
    [overflow, 11n],
  ];
  pieces.forEach(([piece, shift], i) => {
    piece(s);
    // Some pieces leave any nonzero number.
    f.op("i32_eqz", "i32_eqz", "i64_extend_i32_u");
    f.i64(shift);
    f.op("i64_shl");
    if (i > 0) f.op("i64_or");
  });
}

/** Conditions that a subtraction answers by comparing its operands. */
function comparison(s: LazyState, code: ConditionCode): boolean {
  if (s.op >> 2 !== CC.SUB) return false;
  const { f } = s;
  const signed = code === ConditionCode.l || code === ConditionCode.ge ||
    code === ConditionCode.le ||
    code === ConditionCode.g;
  const name = comparisonOf(code);
  if (!name) return false;
  firstOperand(s);
  if (signed) signExtend(f, s.op);
  f.get(s.src);
  if (signed) signExtend(f, s.op);
  f.op(name);
  return true;
}

function comparisonOf(code: ConditionCode) {
  switch (code) {
    case ConditionCode.be:
      return "i64_le_u";
    case ConditionCode.a:
      return "i64_gt_u";
    case ConditionCode.l:
      return "i64_lt_s";
    case ConditionCode.ge:
      return "i64_ge_s";
    case ConditionCode.le:
      return "i64_le_s";
    case ConditionCode.g:
      return "i64_gt_s";
    default:
      return undefined;
  }
}

/** Leaves an i32: is the condition true? */
export function condition(s: LazyState, code: ConditionCode): void {
  const { f } = s;
  if (comparison(s, code)) return;
  const not = () => f.op("i32_eqz");
  const less = () => {
    sign(s);
    f.op("i32_eqz");
    overflow(s);
    f.op("i32_eqz", "i32_ne");
  };
  switch (code) {
    case ConditionCode.o:
      return overflow(s);
    case ConditionCode.no:
      overflow(s);
      return not();
    case ConditionCode.b:
      return carry(s);
    case ConditionCode.ae:
      carry(s);
      return not();
    case ConditionCode.e:
      return zero(s);
    case ConditionCode.ne:
      zero(s);
      return not();
    case ConditionCode.be:
    case ConditionCode.a:
      carry(s);
      zero(s);
      f.op("i32_or");
      if (code === ConditionCode.a) not();
      return;
    case ConditionCode.s:
      return sign(s);
    case ConditionCode.ns:
      sign(s);
      return not();
    case ConditionCode.p:
      return parity(s);
    case ConditionCode.np:
      parity(s);
      return not();
    case ConditionCode.l:
      return less();
    case ConditionCode.ge:
      less();
      return not();
    case ConditionCode.le:
    case ConditionCode.g:
      less();
      zero(s);
      f.op("i32_or");
      if (code === ConditionCode.g) not();
      return;
    default:
      throw new Error(`Not a condition: ${code}`);
  }
}

/** Emits code for one lazy operation known only when it runs, by asking for the flags first: see `Translation.flags`. */
export function knownFlags(f: FunctionBody, src: Local): LazyState {
  return { f, dst: src, src, aux: src, op: CC.FLAGS * 4 + 3 };
}

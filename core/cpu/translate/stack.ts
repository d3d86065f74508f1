// The stack, and what transfers control through it.
import { Code, Register } from "iced-x86";
import { LOOKUPS } from "../layout.ts";
import { operandSize } from "./operand_size.ts";
import { checkTarget } from "./segments.ts";
import type { Size, Translation } from "./translation.ts";
import { I64, type Local } from "./wasm.ts";

const RSP = 4, RBP = 5;

/** Stores a value below the stack pointer; the pointer itself moves by `commit`, when nothing can fault any more. */
function pushValue(t: Translation, size: Size, value: Local): void {
  const { f, mode } = t;
  const [pointer, at] = [f.temporary(I64), f.temporary(I64)];
  t.getPart(RSP, mode.stackBits);
  f.i64(size);
  f.op("i64_sub");
  t.cutTo(mode.stackBits);
  f.set(pointer);
  f.get(pointer);
  t.linear(Register.SS, size, "write", mode.stackBits);
  f.set(at);
  t.store(at, size, value);
  f.get(pointer);
  t.setPart(RSP, mode.stackBits);
  f.release(I64, pointer, at);
}

/** Leaves what the stack pointer points at, `offset` bytes further. */
function peek(t: Translation, size: Size): void {
  const { f, mode } = t;
  const at = f.temporary(I64);
  t.getPart(RSP, mode.stackBits);
  t.linear(Register.SS, size, "read", mode.stackBits);
  f.set(at);
  t.load(at, size);
  f.release(I64, at);
}

function moveStack(t: Translation, by: number): void {
  t.getGpr(RSP);
  t.f.i64(by);
  t.f.op("i64_add");
  t.setPart(RSP, t.mode.stackBits);
}

/** PUSH of a register, memory or an immediate. */
export function push(t: Translation): void {
  const { f } = t;
  const size = Math.abs(t.site.insn.stackPointerIncrement) as Size;
  const value = f.temporary(I64);
  t.read(0, size);
  f.set(value);
  pushValue(t, size, value);
  f.release(I64, value);
}

/** POP to a register or memory, whose address is worked out with the new stack pointer. */
export function pop(t: Translation): void {
  const { f } = t;
  const size = t.site.insn.stackPointerIncrement as Size;
  const value = f.temporary(I64);
  peek(t, size);
  f.set(value);
  if (t.isMemory(0)) {
    const at = t.address(size, "write", size);
    t.store(at, size, value);
    moveStack(t, size);
    f.release(I64, at);
  } else {
    moveStack(t, size);
    f.get(value);
    t.setRegister(t.site.insn.op0Register);
  }
  f.release(I64, value);
}

/** PUSHA, PUSHAD. */
export function pushAll(t: Translation): void {
  const { f } = t;
  const size = -t.site.insn.stackPointerIncrement / 8 as Size;
  const [pointer, value, at] = [f.temporary(I64), f.temporary(I64), f.temporary(I64)];
  for (let i = 0; i < 8; i++) {
    t.getPart(RSP, t.mode.stackBits);
    f.i64(size * (i + 1));
    f.op("i64_sub");
    t.cutTo(t.mode.stackBits);
    f.tee(pointer);
    t.linear(Register.SS, size, "write", t.mode.stackBits);
    f.set(at);
    t.getGpr(i);
    t.cut(size);
    f.set(value);
    t.store(at, size, value);
  }
  f.get(pointer);
  t.setPart(RSP, t.mode.stackBits);
  f.release(I64, pointer, value, at);
}

/** POPA, POPAD: the stack pointer's own slot is skipped. */
export function popAll(t: Translation): void {
  const { f } = t;
  const size = t.site.insn.stackPointerIncrement / 8 as Size;
  const bits = 8 * size as 16 | 32;
  const values = Array.from({ length: 8 }, () => f.temporary(I64));
  const at = f.temporary(I64);
  // From EDI, which lies lowest, as the manual pops them: that decides which page a fault is about.
  for (const [slot, value] of values.toReversed().entries()) {
    if (7 - slot === RSP) continue;
    t.getGpr(RSP);
    f.i64(size * slot);
    f.op("i64_add");
    t.cutTo(t.mode.stackBits);
    t.linear(Register.SS, size, "read", t.mode.stackBits);
    f.set(at);
    t.load(at, size);
    f.set(value);
  }
  values.forEach((value, i) => {
    if (i === RSP) return;
    f.get(value);
    t.setPart(i, bits);
  });
  moveStack(t, 8 * size);
  f.release(I64, at, ...values);
}

/** LEAVE: the stack pointer from RBP, and RBP from there. */
export function leave(t: Translation): void {
  const { f, mode } = t;
  const size = leaveSize(t);
  const [at, value] = [f.temporary(I64), f.temporary(I64)];
  t.getPart(RBP, mode.stackBits);
  t.linear(Register.SS, size, "read", mode.stackBits);
  f.set(at);
  t.load(at, size);
  f.set(value);
  t.getGpr(RBP);
  f.i64(size);
  f.op("i64_add");
  t.setPart(RSP, mode.stackBits);
  f.get(value);
  t.setPart(RBP, 8 * size as 16 | 32 | 64);
  f.release(I64, at, value);
}

function leaveSize(t: Translation): Size {
  switch (t.site.insn.code) {
    case Code.Leavew:
      return 2;
    case Code.Leaved:
      return 4;
    default:
      return 8;
  }
}

/** The return address of a near call goes to the stack; where control goes is the block's business. */
export function pushReturn(t: Translation): void {
  const { f } = t;
  const size = Math.abs(t.site.insn.stackPointerIncrement) as Size;
  const value = f.temporary(I64);
  f.i64(BigInt.asIntN(64, t.site.next));
  t.cut(size);
  f.set(value);
  pushValue(t, size, value);
  f.release(I64, value);
}

/** A binary translator finds the translation of a target known only at run time by a lookup: count it. */
function countLookup(t: Translation): void {
  if (t.mode.countLookups) t.count(LOOKUPS);
}

/** Near JMP and CALL to where operand 0 says. */
export function indirect(call: boolean) {
  return (t: Translation): void => {
    const { f } = t;
    const target = f.temporary(I64);
    const size = operandSize(t.site.insn, 0);
    t.read(0, size);
    f.set(target);
    checkTarget(t, target, size);
    if (call) pushReturn(t);
    countLookup(t);
    t.leaveFor(target);
    f.release(I64, target);
  };
}

/** Near RET, with what it takes off the stack besides. */
export function ret(t: Translation): void {
  const { f } = t;
  const { insn } = t.site;
  const extra = insn.opCount > 0 ? insn.immediate16 : 0;
  const size = (insn.stackPointerIncrement - extra) as Size;
  const target = f.temporary(I64);
  peek(t, size);
  f.set(target);
  checkTarget(t, target, size);
  moveStack(t, size + extra);
  countLookup(t);
  t.leaveFor(target);
  f.release(I64, target);
}

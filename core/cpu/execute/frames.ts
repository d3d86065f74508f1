// ENTER, PUSHA, POPA, XLAT and the wide compare-and-exchange: plain instructions too rare to be translated.
import { Code, type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { GuestFault } from "../fault.ts";
import { setFlag } from "../flags.ts";
import { linearAddress } from "../linear.ts";
import { effectiveAddress, readPlace, writePart } from "../operands.ts";
import { Stack, stackWidth } from "../stack.ts";

const RAX = 0, RCX = 1, RDX = 2, RBX = 3, RSP = 4, RBP = 5;

const ENTER_SIZES = new Map<Code, 2 | 4 | 8>([
  [Code.Enterw_imm16_imm8, 2],
  [Code.Enterd_imm16_imm8, 4],
  [Code.Enterq_imm16_imm8, 8],
]);

/** ENTER: a stack frame, with copies of the frame pointers of enclosing levels (SDM vol. 2, ENTER). */
export function enter(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const size = ENTER_SIZES.get(instruction.code) ?? 4;
  const level = instruction.immediate8_2nd & 31;
  const width = stackWidth(state.segment("ss"), state.bitness === 64);
  const stack = new Stack(cpu);
  stack.push(size, state.gpr(RBP));
  // The frame pointer takes all of the stack pointer, also where the stack uses 16 bits of it.
  const frame = BigInt.asUintN(8 * size, upperPart(state.gpr(RSP), width) | stack.pointer);
  let display = state.gpr(RBP);
  for (let i = 1; i < level; i++) {
    display = BigInt.asUintN(8 * width, display - BigInt(size));
    const linear = linearAddress(state, "ss", display, size, false);
    stack.push(size, cpu.memory.read(linear, size));
  }
  if (level > 0) stack.push(size, frame);
  stack.drop(-instruction.immediate16);
  // The frame must be writable where it ends, or the next push would fault in the callee's name.
  const end = linearAddress(state, "ss", stack.pointer, 1, true);
  cpu.memory.translate(end, { write: true, execute: false, user: state.cpl === 3 });
  stack.commit();
  writePart(state, RBP, size, frame);
}

/** What a stack pointer of so many bytes leaves alone. */
function upperPart(rsp: bigint, width: number): bigint {
  return rsp & ~((1n << BigInt(8 * width)) - 1n);
}

/** PUSHA: AX, CX, DX, BX, the old SP, BP, SI, DI. */
export function pushAll(cpu: Cpu, instruction: Instruction): void {
  const size = instruction.code === Code.Pushaw ? 2 : 4;
  const stack = new Stack(cpu);
  for (let index = 0; index < 8; index++) stack.push(size, cpu.state.gpr(index));
  stack.commit();
}

/** POPA: the same backwards, but for SP. */
export function popAll(cpu: Cpu, instruction: Instruction): void {
  const size = instruction.code === Code.Popaw ? 2 : 4;
  const stack = new Stack(cpu);
  const values = Array.from({ length: 8 }, () => stack.pop(size)).reverse();
  stack.commit();
  for (const [index, value] of values.entries()) {
    if (index !== RSP) writePart(cpu.state, index, size, value);
  }
}

/** AL becomes the byte that it indexes in the table at RBX. */
export function translateByte(cpu: Cpu, instruction: Instruction): void {
  writePart(cpu.state, RAX, 1, readPlace(cpu, effectiveAddress(cpu, instruction), 1));
}

/** CMPXCHG8B and CMPXCHG16B. Memory is written in either case, as the locked cycle does. */
export function compareExchangeWide(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const half = instruction.mnemonic === Mnemonic.Cmpxchg16b ? 8 : 4;
  const bits = BigInt(8 * half);
  const { segment, offset } = effectiveAddress(cpu, instruction);
  const linear = linearAddress(state, segment, offset, 2 * half, true);
  if (half === 8 && linear & 0xfn) throw new GuestFault(VECTOR.GP, 0);
  const pair = (high: number, low: number) =>
    (BigInt.asUintN(8 * half, state.gpr(high)) << bits) | BigInt.asUintN(8 * half, state.gpr(low));
  const found = cpu.memory.read(linear, 2 * half);
  const equal = found === pair(RDX, RAX);
  cpu.memory.write(linear, 2 * half, equal ? pair(RCX, RBX) : found);
  if (!equal) {
    writePart(state, RAX, half, BigInt.asUintN(8 * half, found));
    writePart(state, RDX, half, found >> bits);
  }
  setFlag(state, RFLAGS.ZF, equal);
}

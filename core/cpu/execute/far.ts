// Far JMP, CALL and RET. Call gates are in `call_gate.ts`, tasks in `task_switch.ts`.
import { Code, type Instruction, Mnemonic, OpKind } from "iced-x86";
import { VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { isLongMode, isOrdinary, type Loading, markAccessed, RPL_MASK } from "../descriptors.ts";
import { isRealLike } from "../linear.ts";
import { effectiveAddress, offsetBy, readPlace } from "../operands.ts";
import {
  checkTarget,
  dropInnerSegments,
  isSixtyFourBit,
  readTarget,
  realModeCode,
  resolveDirectCode,
  resolveReturnCode,
  resolveStackSegment,
} from "../segments.ts";
import { Stack, stackWidth } from "../stack.ts";
import { leadsToTask, transferToTask } from "../task_switch.ts";
import { isCanonical } from "../walk.ts";
import { throughGate } from "./call_gate.ts";
import { nextRip } from "./handler.ts";

/** Bytes of the offset in each indirect form. */
const INDIRECT = new Map<Code, 2 | 4 | 8>([
  [Code.Jmp_m1616, 2],
  [Code.Jmp_m1632, 4],
  [Code.Jmp_m1664, 8],
  [Code.Call_m1616, 2],
  [Code.Call_m1632, 4],
  [Code.Call_m1664, 8],
]);

interface FarPointer {
  readonly selector: number;
  readonly offset: bigint;
  /** Operand size: bytes of the offset, and of what CALL pushes. */
  readonly size: 2 | 4 | 8;
}

function target(cpu: Cpu, instruction: Instruction): FarPointer {
  const selector = instruction.farBranchSelector;
  switch (instruction.op0Kind) {
    case OpKind.FarBranch16:
      return { selector, offset: BigInt(instruction.farBranch16), size: 2 };
    case OpKind.FarBranch32:
      return { selector, offset: BigInt(instruction.farBranch32 >>> 0), size: 4 };
  }
  const size = INDIRECT.get(instruction.code) ?? 4;
  const place = effectiveAddress(cpu, instruction);
  const offset = readPlace(cpu, place, size);
  return { offset, selector: Number(readPlace(cpu, offsetBy(instruction, place, size), 2)), size };
}

/** Far JMP and CALL. */
export function farTransfer(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { selector, offset, size } = target(cpu, instruction);
  const calls = instruction.mnemonic === Mnemonic.Call;
  let code: Loading;
  if (isRealLike(state)) {
    code = realModeCode(state, selector);
  } else {
    const descriptor = readTarget(cpu, selector);
    if (!isOrdinary(descriptor)) {
      const next = nextRip(state, instruction);
      if (!isLongMode(state) && leadsToTask(descriptor)) {
        return transferToTask(cpu, descriptor, calls ? "call" : "jump", next);
      }
      return throughGate(cpu, selector, calls, next);
    }
    code = resolveDirectCode(cpu, descriptor);
  }
  checkTarget(state, code, offset, isCanonical(offset, state.linearBits));
  const stack = new Stack(cpu);
  if (calls) {
    stack.push(size, BigInt(state.segment("cs").selector));
    stack.push(size, nextRip(state, instruction));
  }
  const cs = markAccessed(cpu, code);
  if (calls) stack.commit();
  state.setSegment("cs", cs);
  state.rip = offset;
}

/** Operand size of each far RET. */
const RETURNS = new Map<Code, 2 | 4 | 8>([
  [Code.Retfw, 2],
  [Code.Retfw_imm16, 2],
  [Code.Retfd, 4],
  [Code.Retfd_imm16, 4],
  [Code.Retfq, 8],
  [Code.Retfq_imm16, 8],
]);

/** Far RET, with the bytes of parameters that it releases. */
export function farReturn(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const size = RETURNS.get(instruction.code) ?? 4;
  const released = instruction.opCount > 0 ? instruction.immediate16 : 0;
  const stack = new Stack(cpu);
  const rip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  stack.drop(released);
  if (isRealLike(state)) {
    const code = realModeCode(state, selector);
    checkTarget(state, code, rip, true);
    stack.commit();
    state.setSegment("cs", code);
    state.rip = rip;
    return;
  }
  const level = selector & RPL_MASK;
  const outer = level > state.cpl;
  const code = resolveReturnCode(cpu, selector);
  const checkOffset = () => checkTarget(state, code, rip, isCanonical(rip, state.linearBits));
  if (!outer) {
    checkOffset();
    const cs = markAccessed(cpu, code);
    stack.commit();
    state.setSegment("cs", cs);
    state.rip = rip;
    return;
  }
  const sp = stack.pop(size);
  const ssSelector = Number(stack.pop(size) & 0xffffn);
  const sixtyFour = isSixtyFourBit(state, code);
  const resolved = resolveStackSegment(cpu, ssSelector, level, VECTOR.GP, 0, sixtyFour);
  checkOffset();
  const [ss, cs] = [markAccessed(cpu, resolved), markAccessed(cpu, code)];
  const width = stackWidth(ss, sixtyFour);
  const returned = new Stack(cpu, { ss, sp, width, user: level === 3, errorCode: 0 });
  returned.drop(released);
  state.setSegment("cs", cs);
  state.setSegment("ss", ss);
  state.rip = rip;
  returned.commit();
  dropInnerSegments(state, level);
}

// IRET in real, virtual-8086, protected and long mode (SDM vol. 2, IRET).
import { type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS, type Segment, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import {
  isLongMode,
  isNestedTask,
  markAccessed,
  RPL_MASK,
  virtual8086Segment,
} from "../descriptors.ts";
import { GuestFault } from "../fault.ts";
import { loadableFlags, loadFlags } from "../flags.ts";
import { isRealLike } from "../linear.ts";
import { writePart } from "../operands.ts";
import {
  checkTarget,
  dropInnerSegments,
  isSixtyFourBit,
  realModeCode,
  resolveReturnCode,
  resolveStackSegment,
} from "../segments.ts";
import { Stack, stackWidth } from "../stack.ts";
import type { CpuState } from "../state.ts";
import { returnToTask } from "../task_switch.ts";
import {
  checkPendingInterrupt,
  seesVirtualFlags,
  VIRTUAL_IMAGE,
  virtualImage,
} from "../virtual_interrupts.ts";
import { isCanonical } from "../walk.ts";
import { nextRip } from "./handler.ts";

const RSP = 4;

const SIZES = new Map<Mnemonic, 2 | 4 | 8>([
  [Mnemonic.Iret, 2],
  [Mnemonic.Iretd, 4],
  [Mnemonic.Iretq, 8],
]);

/** IRET, IRETD, IRETQ. */
export function interruptReturn(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const size = SIZES.get(instruction.mnemonic) ?? 4;
  // Also where it faults (SDM vol. 3, 28.2.3, NMI unblocking due to IRET).
  state.nmiBlocked = false;
  if (isRealLike(state)) returnInRealMode(cpu, size);
  else if (isNestedTask(state)) {
    if (isLongMode(state)) throw new GuestFault(VECTOR.GP, 0);
    returnToTask(cpu, nextRip(state, instruction));
  } else returnInProtectedMode(cpu, size);
  cpu.surroundings.count("iret");
  checkPendingInterrupt(state);
}

/** What POPF loads, and RF: the debugger returns to an instruction whose breakpoint it has seen. */
function returnedFlags(state: CpuState, size: number): bigint {
  return loadableFlags(state, size) | (size === 2 ? 0n : BigInt(RFLAGS.RF));
}

function returnInRealMode(cpu: Cpu, size: 2 | 4 | 8): void {
  const { state } = cpu;
  const stack = new Stack(cpu);
  const rip = stack.pop(size);
  const code = realModeCode(state, Number(stack.pop(size) & 0xffffn));
  const image = stack.pop(size);
  checkTarget(state, code, rip, true);
  const virtual = seesVirtualFlags(state) ? virtualImage(state, image) : undefined;
  stack.commit();
  state.setSegment("cs", code);
  state.rip = rip;
  if (virtual !== undefined) return loadFlags(cpu, virtual, VIRTUAL_IMAGE);
  loadFlags(cpu, image, returnedFlags(state, size));
}

function returnInProtectedMode(cpu: Cpu, size: 2 | 4 | 8): void {
  const { state } = cpu;
  const stack = new Stack(cpu);
  const rip = stack.pop(size);
  const selector = Number(stack.pop(size) & 0xffffn);
  const image = stack.pop(size);
  if (image & BigInt(RFLAGS.VM) && size !== 2 && state.cpl === 0 && !isLongMode(state)) {
    return returnToVirtual8086(cpu, stack, rip, selector, image);
  }
  const level = selector & RPL_MASK;
  const code = resolveReturnCode(cpu, selector);
  const checkOffset = () => checkTarget(state, code, rip, isCanonical(rip, state.linearBits));
  const outer = level > state.cpl;
  // What may be loaded depends on the level that is left.
  const mask = returnedFlags(state, size);
  // 64-bit code always pops a stack, whatever its level.
  if (outer || state.bitness === 64) {
    const sp = stack.pop(size);
    const ssSelector = Number(stack.pop(size) & 0xffffn);
    const sixtyFour = isSixtyFourBit(state, code);
    const resolved = resolveStackSegment(cpu, ssSelector, level, VECTOR.GP, 0, sixtyFour);
    checkOffset();
    const [ss, cs] = [markAccessed(cpu, resolved), markAccessed(cpu, code)];
    state.setSegment("ss", ss);
    state.setSegment("cs", cs);
    writePart(state, RSP, stackWidth(ss, sixtyFour), sp);
    if (outer) dropInnerSegments(state, level);
  } else {
    checkOffset();
    const cs = markAccessed(cpu, code);
    stack.commit();
    state.setSegment("cs", cs);
  }
  state.rip = rip;
  loadFlags(cpu, image, mask);
}

function returnToVirtual8086(
  cpu: Cpu,
  stack: Stack,
  rip: bigint,
  selector: number,
  image: bigint,
): void {
  const { state } = cpu;
  const sp = stack.pop(4);
  const names = ["ss", "es", "ds", "fs", "gs"] as const;
  const segments = names.map((name): [typeof name, Segment] => [
    name,
    virtual8086Segment(Number(stack.pop(4) & 0xffffn)),
  ]);
  const code = virtual8086Segment(selector);
  checkTarget(state, code, rip, true);
  const mask = returnedFlags(state, 4) | BigInt(RFLAGS.VM);
  for (const [name, segment] of segments) state.setSegment(name, segment);
  state.setSegment("cs", code);
  state.rip = rip;
  writePart(state, RSP, 4, sp);
  loadFlags(cpu, image, mask);
}

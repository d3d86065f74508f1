// Loading segment registers, with the checks of the mode (SDM vol. 3, 3.4 and 5.5 to 5.8; vol. 2, MOV, LDS, JMP, CALL).
import { CR0, type Segment, type SegmentName, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import {
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isLongMode,
  isOrdinary,
  isPresent,
  isWritableData,
  type Loading,
  markAccessed,
  nullSegment,
  readDescriptor,
  RPL_MASK,
  selectorCode,
  virtual8086Segment,
} from "./descriptors.ts";
import { GuestFault } from "./fault.ts";
import { isVirtual8086, TYPE } from "./linear.ts";
import { ATTRIBUTE, type CpuState } from "./state.ts";

/**
 * What loading a selector into ES, SS, DS, FS or GS would put there; nothing is changed but the accessed bit. `invalid` is #TS
 * instead of #GP while tasks are switched.
 */
export function resolveDataSegment(
  cpu: Cpu,
  name: SegmentName,
  selector: number,
  invalid: number = VECTOR.GP,
  ext = 0,
): Segment {
  const { state } = cpu;
  if (!(state.control("cr0") & BigInt(CR0.PE))) return realModeSegment(state, name, selector);
  if (isVirtual8086(state)) return virtual8086Segment(selector);
  if (name === "ss") return markAccessed(cpu, resolveStackSegment(cpu, selector, state.cpl));
  if (selectorCode(selector) === 0) return nullSegment(selector);
  const descriptor = readDescriptor(cpu, selector, invalid, ext);
  const fault = (vector: number) => new GuestFault(vector, selectorCode(selector) | ext);
  const code = isCode(descriptor);
  if (!isOrdinary(descriptor) || (code && !(descriptor.attributes & TYPE.READABLE))) {
    throw fault(invalid);
  }
  if (!isConforming(descriptor)) {
    const dpl = dplOf(descriptor);
    if ((selector & RPL_MASK) > dpl || state.cpl > dpl) throw fault(invalid);
  }
  if (!isPresent(descriptor)) throw fault(VECTOR.NP);
  return markAccessed(cpu, descriptor);
}

/** Loads ES, SS, DS, FS or GS. */
export function loadDataSegment(cpu: Cpu, name: SegmentName, selector: number): void {
  cpu.state.setSegment(name, resolveDataSegment(cpu, name, selector));
}

/** In real mode only selector and base change; limit and attributes stay, as unreal mode relies on. */
function realModeSegment(state: CpuState, name: SegmentName, selector: number): Segment {
  const { limit, attributes } = state.segment(name);
  return { selector, base: BigInt(selector << 4), limit, attributes };
}

/**
 * SS at privilege level `cpl`. `vector` is #TS instead of #GP while an interrupt switches stacks; `sixtyFour` tells whether
 * the code that will use it is 64-bit (by default, the code that runs).
 */
export function resolveStackSegment(
  cpu: Cpu,
  selector: number,
  cpl: number,
  vector: number = VECTOR.GP,
  ext = 0,
  sixtyFour = cpu.state.bitness === 64,
): Loading {
  if (selectorCode(selector) === 0) {
    if (!sixtyFour || cpl === 3 || (selector & RPL_MASK) !== cpl) throw new GuestFault(vector, ext);
    return nullSegment(selector, cpl);
  }
  const code = selectorCode(selector) | ext;
  const descriptor = readDescriptor(cpu, selector, vector, ext);
  if (
    (selector & RPL_MASK) !== cpl || dplOf(descriptor) !== cpl || !isWritableData(descriptor)
  ) {
    throw new GuestFault(vector, code);
  }
  if (!isPresent(descriptor)) throw new GuestFault(VECTOR.SS, code);
  return descriptor;
}

/** The descriptor of a transfer's target; a null selector is #GP(0). */
export function readTarget(cpu: Cpu, selector: number, ext = 0): Descriptor {
  if (selectorCode(selector) === 0) throw new GuestFault(VECTOR.GP, ext);
  return readDescriptor(cpu, selector, VECTOR.GP, ext);
}

/** The same, when it has to be code. */
export function readCodeDescriptor(cpu: Cpu, selector: number, ext = 0): Descriptor {
  const descriptor = readTarget(cpu, selector, ext);
  if (!isCode(descriptor)) throw new GuestFault(VECTOR.GP, selectorCode(selector) | ext);
  return descriptor;
}

/** #NP unless present; #GP where long mode's L and D bits contradict each other. */
export function checkCodePresent(cpu: Cpu, descriptor: Descriptor, ext = 0): void {
  const code = selectorCode(descriptor.selector) | ext;
  const both = ATTRIBUTE.L | ATTRIBUTE.DB;
  if (isLongMode(cpu.state) && (descriptor.attributes & both) === both) {
    throw new GuestFault(VECTOR.GP, code);
  }
  if (!isPresent(descriptor)) throw new GuestFault(VECTOR.NP, code);
}

/** CS for a far JMP or CALL without a gate: the privilege level stays. */
export function resolveDirectCode(cpu: Cpu, descriptor: Descriptor): Loading {
  const { selector } = descriptor;
  const { cpl } = cpu.state;
  const dpl = dplOf(descriptor);
  const allowed = isConforming(descriptor)
    ? dpl <= cpl
    : (selector & RPL_MASK) <= cpl && dpl === cpl;
  if (!isCode(descriptor) || !allowed) throw new GuestFault(VECTOR.GP, selectorCode(selector));
  checkCodePresent(cpu, descriptor);
  return { ...descriptor, selector: (selector & ~RPL_MASK) | cpl };
}

/** CS for a far RET or IRET: to the same or an outer level, which is the selector's RPL. */
export function resolveReturnCode(cpu: Cpu, selector: number): Loading {
  const descriptor = readCodeDescriptor(cpu, selector);
  const rpl = selector & RPL_MASK;
  const dpl = dplOf(descriptor);
  if (rpl < cpu.state.cpl || (isConforming(descriptor) ? dpl > rpl : dpl !== rpl)) {
    throw new GuestFault(VECTOR.GP, selectorCode(selector));
  }
  checkCodePresent(cpu, descriptor);
  return descriptor;
}

/** Is a segment register's code 64-bit? */
export function isSixtyFourBit(state: CpuState, code: Pick<Segment, "attributes">): boolean {
  return isLongMode(state) && (code.attributes & ATTRIBUTE.L) !== 0;
}

/** After a return to an outer level: data segments that the new level may not use become null. */
export function dropInnerSegments(state: CpuState, cpl: number): void {
  for (const name of ["es", "ds", "fs", "gs"] as const) {
    const segment = state.segment(name);
    // A null selector stays as it is, and so do FS and GS bases that MSRs gave to null FS and GS.
    if (!isPresent(segment) || isConforming(segment)) continue;
    if (dplOf(segment) < cpl) state.setSegment(name, nullSegment(0));
  }
}

/** #GP(0) unless `rip` lies in the code segment: within its limit, or canonical in 64-bit code. */
export function checkTarget(state: CpuState, code: Segment, rip: bigint, canonical: boolean): void {
  const inside = isSixtyFourBit(state, code) ? canonical : rip <= BigInt(code.limit);
  if (!inside) throw new GuestFault(VECTOR.GP, 0);
}

/** CS of real or virtual-8086 mode. */
export function realModeCode(state: CpuState, selector: number): Segment {
  return isVirtual8086(state)
    ? virtual8086Segment(selector)
    : realModeSegment(state, "cs", selector);
}

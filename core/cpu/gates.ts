// Interrupt and trap gates, and the task-state segment that says where inner stacks are (SDM vol. 3, 6.11 to 6.14 and 7).
import { type Segment, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { gateSelector, isLongMode, selectorCode, SYSTEM, SYSTEM_ACCESS } from "./descriptors.ts";
import { GuestFault } from "./fault.ts";
import { resolveStackSegment } from "./segments.ts";
import { type StackPlace, stackWidth } from "./stack.ts";
import { isCanonical } from "./walk.ts";

/** Bit of an error code: the number is a vector, not a selector (SDM vol. 3, figure 6-7). */
const IDT_CODE = 2;

/** A gate of the IDT. */
export interface Gate {
  readonly selector: number;
  readonly offset: bigint;
  /** Clears IF: an interrupt gate, not a trap gate. */
  readonly masks: boolean;
  /** Bytes of what it pushes. */
  readonly size: 2 | 4 | 8;
  /** Interrupt stack table entry, 1 to 7; 0 for none. */
  readonly ist: number;
}

/** A gate that leads to another task. */
export interface TaskGate {
  /** Selector of its TSS. */
  readonly task: number;
}

/** Error code of a fault that is about an IDT entry. */
function vectorCode(vector: number, ext: number): number {
  return vector * 8 + IDT_CODE + ext;
}

/**
 * The gate of a vector, in protected or long mode. `software` ones (INT n) need a gate whose DPL lets them through. Throws
 * #GP or #NP with the vector in the error code. There are no task gates in long mode.
 */
export function readGate(
  cpu: Cpu,
  vector: number,
  software: boolean,
  ext: number,
): Gate | TaskGate {
  const { state, memory } = cpu;
  const long = isLongMode(state);
  const bytes = long ? 16 : 8;
  const { base, limit } = state.idtr;
  const refuse = (fault: number) => new GuestFault(fault, vectorCode(vector, ext));
  if (vector * bytes + bytes - 1 > limit) throw refuse(VECTOR.GP);
  const linear = base + BigInt(vector * bytes);
  const raw = memory.read(linear, 8, SYSTEM_ACCESS);
  const high = long ? memory.read(linear + 8n, 8, SYSTEM_ACCESS) & 0xffff_ffffn : 0n;
  const access = Number((raw >> 40n) & 0xffn);
  // Type and S bit: anything with S set is not a gate.
  const type = access & 0x1f;
  const wide = type === SYSTEM.INTERRUPT_GATE || type === SYSTEM.TRAP_GATE;
  const narrow = type === SYSTEM.INTERRUPT_GATE16 || type === SYSTEM.TRAP_GATE16;
  const task = type === SYSTEM.TASK_GATE;
  if (!wide && (long || !(narrow || task))) throw refuse(VECTOR.GP);
  if (software && ((access >> 5) & 3) < state.cpl) throw refuse(VECTOR.GP);
  if (!(access & 0x80)) throw refuse(VECTOR.NP);
  const selector = gateSelector(raw);
  if (task) return { task: selector };
  const offset = (raw & 0xffffn) | ((raw >> 32n) & 0xffff_0000n) | (high << 32n);
  return {
    selector,
    offset: narrow ? offset & 0xffffn : offset,
    masks: type === SYSTEM.INTERRUPT_GATE || type === SYSTEM.INTERRUPT_GATE16,
    size: long ? 8 : wide ? 4 : 2,
    ist: long ? Number((raw >> 32n) & 7n) : 0,
  };
}

/** Reads from the task-state segment; #TS with the TSS selector beyond its limit. */
function readTss(cpu: Cpu, tr: Segment, offset: number, size: number, ext: number): bigint {
  if (offset + size - 1 > tr.limit) {
    throw new GuestFault(VECTOR.TS, selectorCode(tr.selector) | ext);
  }
  return cpu.memory.read(tr.base + BigInt(offset), size, SYSTEM_ACCESS);
}

/** Offsets in a 64-bit TSS (SDM vol. 3, figure 7-11). */
const TSS64_RSP0 = 4;
const TSS64_IST1 = 0x24;

/** Stack of a long-mode entry: RSP0 to RSP2 of the TSS by level, or an interrupt stack; #SS if it is not canonical. */
export function longModeStack(cpu: Cpu, level: number, ist: number, ext: number): bigint {
  const at = ist ? TSS64_IST1 + 8 * (ist - 1) : TSS64_RSP0 + 8 * level;
  const rsp = readTss(cpu, cpu.state.segment("tr"), at, 8, ext);
  if (!isCanonical(rsp, cpu.state.linearBits)) throw new GuestFault(VECTOR.SS, ext);
  return rsp;
}

/** SS and ESP of a more privileged level, from a 32-bit or 16-bit TSS, checked. */
export function innerStack(cpu: Cpu, level: number, ext: number): StackPlace {
  const tr = cpu.state.segment("tr");
  const type = tr.attributes & 0xf;
  const narrow = type === SYSTEM.TSS16 || type === SYSTEM.TSS16_BUSY;
  const size = narrow ? 2 : 4;
  const at = narrow ? 2 + 4 * level : 4 + 8 * level;
  const sp = readTss(cpu, tr, at, size, ext);
  const selector = Number(readTss(cpu, tr, at + size, 2, ext));
  const ss = resolveStackSegment(cpu, selector, level, VECTOR.TS, ext, false);
  const errorCode = selectorCode(selector) | ext;
  return { ss, sp, width: stackWidth(ss, false), user: false, errorCode };
}

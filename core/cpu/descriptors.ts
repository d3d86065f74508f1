// Segment and system descriptors, as the tables in memory hold them (SDM vol. 3, 3.4.5 and 3.5).
import { EFER, RFLAGS, type Segment, VECTOR } from "../base/registers.ts";
import type { AccessType, Cpu } from "./cpu.ts";
import { GuestFault } from "./fault.ts";
import { TYPE } from "./linear.ts";
import { ATTRIBUTE, type CpuState } from "./state.ts";

/** The CPU's own accesses to descriptor tables and task-state segments. */
export const SYSTEM_ACCESS: Partial<AccessType> = { user: false, implicit: true };

/** Types of system descriptors (SDM vol. 3, table 3-2). In long mode the 32-bit types are the 64-bit ones. */
export const SYSTEM = {
  TSS16: 1,
  LDT: 2,
  TSS16_BUSY: 3,
  CALL_GATE16: 4,
  TASK_GATE: 5,
  INTERRUPT_GATE16: 6,
  TRAP_GATE16: 7,
  TSS: 9,
  TSS_BUSY: 11,
  CALL_GATE: 12,
  INTERRUPT_GATE: 14,
  TRAP_GATE: 15,
} as const;

/** Bits of a selector: requested privilege level, and which table. */
export const RPL_MASK = 3;
/** Bit of a selector: set for the LDT. */
export const TABLE_INDICATOR = 4;

/** A descriptor, with where it was read. */
export interface Descriptor extends Segment {
  /** Linear address of its first byte. */
  readonly linear: bigint;
  /** Its first eight bytes: gates keep selector and offset here. */
  readonly raw: bigint;
}

/** A selector without RPL bits 0 and 1: what error codes carry. */
export function selectorCode(selector: number): number {
  return selector & 0xfffc;
}

/** The selector that a gate leads to, in its first eight bytes. */
export function gateSelector(raw: bigint): number {
  return Number((raw >> 16n) & 0xffffn);
}

/** Descriptor privilege level, 0 to 3. */
export function dplOf({ attributes }: Pick<Segment, "attributes">): number {
  return (attributes >> 5) & 3;
}

/** Type field, 0 to 15. */
export function typeOf({ attributes }: Pick<Segment, "attributes">): number {
  return attributes & 0xf;
}

/** Is the P bit set? In a segment register: is it loaded, and not null? */
export function isPresent({ attributes }: Pick<Segment, "attributes">): boolean {
  return (attributes & ATTRIBUTE.P) !== 0;
}

/** A code or data segment, not a system one? */
export function isOrdinary({ attributes }: Pick<Segment, "attributes">): boolean {
  return (attributes & ATTRIBUTE.S) !== 0;
}

/** A code segment? */
export function isCode(segment: Pick<Segment, "attributes">): boolean {
  return isOrdinary(segment) && (segment.attributes & TYPE.CODE) !== 0;
}

/** Data that may be written: what SS needs. */
export function isWritableData(segment: Pick<Segment, "attributes">): boolean {
  const kind = segment.attributes & (ATTRIBUTE.S | TYPE.CODE | TYPE.WRITABLE);
  return kind === (ATTRIBUTE.S | TYPE.WRITABLE);
}

/** Code that runs at its caller's level? */
export function isConforming(segment: Pick<Segment, "attributes">): boolean {
  return isCode(segment) && (segment.attributes & TYPE.CONFORMING) !== 0;
}

/** Base, limit and attributes of an eight-byte descriptor. */
export function parseDescriptor(selector: number, raw: bigint): Segment {
  const low = Number(raw & 0xffff_ffffn);
  const high = Number(raw >> 32n);
  const attributes = (high >>> 8) & 0xf0ff;
  const units = (low & 0xffff) | (high & 0xf0000);
  return {
    selector,
    base: BigInt(((high & 0xff00_0000) | ((high & 0xff) << 16) | (low >>> 16)) >>> 0),
    limit: attributes & ATTRIBUTE.G ? ((units << 12) | 0xfff) >>> 0 : units,
    attributes,
  };
}

/** Linear address of the descriptor that a selector names; throws `vector` with its code beyond the table. */
function locate(
  state: CpuState,
  selector: number,
  bytes: number,
  vector: number,
  ext: number,
): bigint {
  const offset = selector & 0xfff8;
  const fault = () => new GuestFault(vector, selectorCode(selector) | ext);
  if (!(selector & TABLE_INDICATOR)) {
    const { base, limit } = state.gdtr;
    if (offset + bytes - 1 > limit) throw fault();
    return base + BigInt(offset);
  }
  const ldtr = state.segment("ldtr");
  if (!isPresent(ldtr) || offset + bytes - 1 > ldtr.limit) throw fault();
  return ldtr.base + BigInt(offset);
}

/**
 * Reads the descriptor that a selector names. Throws `vector` (#GP, or #TS while switching stacks) with the selector where
 * it lies outside its table; `ext` is 1 while an external event is delivered.
 */
export function readDescriptor(
  cpu: Cpu,
  selector: number,
  vector: number = VECTOR.GP,
  ext = 0,
): Descriptor {
  const linear = locate(cpu.state, selector, 8, vector, ext);
  const raw = cpu.memory.read(linear, 8, SYSTEM_ACCESS);
  return { ...parseDescriptor(selector, raw), linear, raw };
}

/** As {@linkcode readDescriptor}, of an LDT, TSS or call gate: 16 bytes in long mode, with a 64-bit base or offset. */
export function readSystemDescriptor(cpu: Cpu, selector: number): Descriptor & { high: bigint } {
  const long = isLongMode(cpu.state);
  const linear = locate(cpu.state, selector, long ? 16 : 8, VECTOR.GP, 0);
  const raw = cpu.memory.read(linear, 8, SYSTEM_ACCESS);
  const high = long ? cpu.memory.read(linear + 8n, 8, SYSTEM_ACCESS) : 0n;
  // Or the second half would be a descriptor too (SDM vol. 3, 5.8.3.1).
  if ((high >> 40n) & 0x1fn) throw new GuestFault(VECTOR.GP, selectorCode(selector));
  const descriptor = parseDescriptor(selector, raw);
  const base = descriptor.base | BigInt.asUintN(64, high << 32n);
  return { ...descriptor, base, linear, raw, high };
}

/** EFER.LMA: descriptor tables and the IDT have their long-mode forms. */
export function isLongMode(state: CpuState): boolean {
  return (state.control("efer") & BigInt(EFER.LMA)) !== 0n;
}

/** A segment that is about to be loaded: unless its selector is null, it has a descriptor. */
export interface Loading extends Segment {
  /** Linear address of the descriptor. */
  readonly linear?: bigint;
}

/**
 * Marks a code or data segment as accessed in its table, and returns what goes into the segment register. The last thing that
 * may fault.
 */
export function markAccessed(cpu: Cpu, loading: Loading): Segment {
  const { selector, base, limit, linear } = loading;
  if (linear === undefined) return { selector, base, limit, attributes: loading.attributes };
  const attributes = loading.attributes | TYPE.ACCESSED;
  if (attributes !== loading.attributes) {
    cpu.memory.write(linear + 5n, 1, BigInt(attributes & 0xff), SYSTEM_ACCESS);
  }
  return { selector, base, limit, attributes };
}

/** A segment register without a segment: a null selector was loaded. `dpl` keeps the CPL of a null SS in long mode. */
export function nullSegment(selector: number, dpl = 0): Segment {
  return { selector, base: 0n, limit: 0, attributes: dpl << 5 };
}

/** A segment of virtual-8086 mode. */
export function virtual8086Segment(selector: number): Segment {
  return { selector, base: BigInt(selector << 4), limit: 0xffff, attributes: 0xf3 };
}

/** Is NT set: would IRET be a task switch? */
export function isNestedTask(state: CpuState): boolean {
  return (state.systemFlags & RFLAGS.NT) !== 0;
}

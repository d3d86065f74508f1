// Task-state segments of 16 and 32 bits: where each keeps what a task switch saves and loads (SDM vol. 3, figures 8-2 and
// 8-10).
import type { SegmentName } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { SYSTEM, SYSTEM_ACCESS, typeOf } from "./descriptors.ts";

/** Where a form of TSS has its fields. */
interface TssForm {
  /** Bytes of registers and flags; selectors always have two. */
  readonly size: 2 | 4;
  /** Limit that it needs at least, to be switched to. */
  readonly limit: number;
  readonly cr3?: number;
  readonly rip: number;
  readonly flags: number;
  /** AX, and so on in encoding order. */
  readonly general: number;
  readonly segments: readonly (readonly [SegmentName, number])[];
  readonly ldt: number;
  /** The byte that has the T flag in bit 0. */
  readonly trap?: number;
}

/** The manual's table 6-6 says 2Ch, which is one more than its figure has. */
const TSS16: TssForm = {
  size: 2,
  limit: 0x2b,
  rip: 0x0e,
  flags: 0x10,
  general: 0x12,
  segments: [["ss", 0x26], ["ds", 0x28], ["es", 0x22], ["cs", 0x24]],
  ldt: 0x2a,
};

const TSS32: TssForm = {
  size: 4,
  limit: 0x67,
  cr3: 0x1c,
  rip: 0x20,
  flags: 0x24,
  general: 0x28,
  segments: [
    ["ss", 0x50],
    ["ds", 0x54],
    ["es", 0x48],
    ["fs", 0x58],
    ["gs", 0x5c],
    ["cs", 0x4c],
  ],
  ldt: 0x60,
  trap: 0x64,
};

/** General registers that a task has. */
const REGISTERS = 8;

/** The form of a TSS, by its descriptor or by TR. */
export function tssForm(tss: { readonly attributes: number }): TssForm {
  const type = typeOf(tss);
  return type === SYSTEM.TSS16 || type === SYSTEM.TSS16_BUSY ? TSS16 : TSS32;
}

/** What a TSS says of its task. */
export interface TaskImage {
  readonly cr3: bigint | undefined;
  readonly rip: bigint;
  readonly flags: bigint;
  readonly general: readonly bigint[];
  /** In the order in which they are loaded. */
  readonly segments: readonly (readonly [SegmentName, number])[];
  readonly ldt: number;
  readonly trap: boolean;
}

/** Linear address of a byte of a segment outside long mode. */
function at(base: bigint, offset: number): bigint {
  return BigInt.asUintN(32, base + BigInt(offset));
}

/** Faults now where bytes `from` to `to` of a segment could not be accessed. */
export function probe(cpu: Cpu, base: bigint, from: number, to: number, write: boolean): void {
  const access = { write, execute: false, user: false, implicit: true };
  cpu.memory.translate(at(base, from), access);
  cpu.memory.translate(at(base, to), access);
}

/** The fields that a task switch saves: from the instruction pointer to the last selector, whose upper half is not written. */
export function savedRange(form: TssForm): readonly [from: number, to: number] {
  const last = Math.max(...form.segments.map(([, offset]) => offset));
  return [form.rip, last + form.size - 1];
}

/** Saves registers, flags and selectors of the task that ends. CR3 and LDTR are its TSS's own. */
export function saveTask(cpu: Cpu, base: bigint, form: TssForm, rip: bigint, flags: bigint): void {
  const { state } = cpu;
  const { size } = form;
  const put = (offset: number, bytes: number, value: bigint) =>
    cpu.memory.write(at(base, offset), bytes, BigInt.asUintN(8 * bytes, value), SYSTEM_ACCESS);
  put(form.rip, size, rip);
  put(form.flags, size, flags);
  for (let i = 0; i < REGISTERS; i++) put(form.general + i * size, size, state.gpr(i));
  for (const [name, offset] of form.segments) put(offset, 2, BigInt(state.segment(name).selector));
}

/** Upper halves of the registers of a 16-bit task: the manual is silent, Bochs sets them. */
const UPPER16 = 0xffff_0000n;

/** Reads the task that begins. A 16-bit one has no FS and GS: they become null. */
export function readTask(cpu: Cpu, base: bigint, form: TssForm): TaskImage {
  const get = (offset: number, bytes: number) =>
    cpu.memory.read(at(base, offset), bytes, SYSTEM_ACCESS);
  const { size } = form;
  const segments = form.segments.map(([name, offset]) => [name, Number(get(offset, 2))] as const);
  return {
    cr3: form.cr3 === undefined ? undefined : get(form.cr3, 4),
    rip: get(form.rip, size),
    flags: get(form.flags, size),
    general: Array.from({ length: REGISTERS }, (_, i) => {
      const value = get(form.general + i * size, size);
      return size === 2 ? UPPER16 | value : value;
    }),
    segments: size === 2 ? [...segments, ["fs", 0], ["gs", 0]] : segments,
    ldt: Number(get(form.ldt, 2)),
    trap: form.trap !== undefined && (get(form.trap, 1) & 1n) !== 0n,
  };
}

/** The selector of the task that this one interrupts. */
export function readLink(cpu: Cpu, base: bigint): number {
  return Number(cpu.memory.read(at(base, 0), 2, SYSTEM_ACCESS));
}

export function writeLink(cpu: Cpu, base: bigint, selector: number): void {
  cpu.memory.write(at(base, 0), 2, BigInt(selector), SYSTEM_ACCESS);
}

// Descriptors of every kind, for trials that load, call and switch to them: what `bochs_trials.ts` patches into the tables.
import { KERNEL, KERNEL_SELECTOR } from "./bochs_layout.ts";
import { descriptorBytes } from "./bochs_trials.ts";
import type { Random } from "./random.ts";

/** Code of trials and stacks are here; code segments of 16 bits begin here too. */
export const AREA = KERNEL.areas[0].start;
const FLAT = 0xfffff;

/** [name, base, limit, attributes], in slots of the GDT from the first free one on. */
const ROWS = [
  ["code1", 0, FLAT, 0xc0ba],
  ["data1", 0, FLAT, 0xc0b2],
  ["code2", 0, FLAT, 0xc0da],
  ["data2", 0, FLAT, 0xc0d2],
  ["conforming0", 0, FLAT, 0xc09e],
  ["conforming1", 0, FLAT, 0xc0be],
  ["conforming3", 0, FLAT, 0xc0fc],
  ["code16of0", AREA, 0xffff, 0x9a],
  ["data16of0", AREA, 0xffff, 0x92],
  ["code16of3", AREA, 0xffff, 0xfa],
  ["data16of3", AREA, 0xffff, 0xf2],
  ["executeOnly0", 0, FLAT, 0xc098],
  ["executeOnly3", 0, FLAT, 0xc0f8],
  ["readOnly0", 0, FLAT, 0xc090],
  ["readOnly3", 0, FLAT, 0xc0f0],
  ["absentData0", 0, FLAT, 0xc012],
  ["absentData3", 0, FLAT, 0xc072],
  ["absentCode0", 0, FLAT, 0xc01a],
  ["absentCode3", 0, FLAT, 0xc07a],
  ["shortCode0", 0, 0xff, 0x409a],
  ["shortData0", 0, AREA + 0x3f, 0x4092],
  ["down0", 0, 0x1000, 0xc096],
  ["absentTable", KERNEL.ldt, 0xff, 0x02],
  ["table", KERNEL.ldt, 0xff, 0x82],
] as const;

type Name = typeof ROWS[number][0];

/** Selectors, RPL 0. */
export const SELECTOR = Object.fromEntries(
  ROWS.map(([name], i) => [name, KERNEL_SELECTOR.free + 8 * i]),
) as Readonly<Record<Name, number>>;

/** The first slot that a trial may use as it likes. */
export const FREE_SLOT = KERNEL_SELECTOR.free + 8 * ROWS.length;
/** Data for level 3 and code for level 3, in the LDT. */
export const LOCAL = { data: 0x0f, code: 0x17 } as const;

/** Memory with all of them. */
export const SEGMENTS: readonly { readonly address: number; readonly bytes: number[] }[] = [
  {
    address: KERNEL.gdt + KERNEL_SELECTOR.free,
    bytes: ROWS.flatMap(([, base, limit, attributes]) => descriptorBytes(base, limit, attributes)),
  },
  {
    address: KERNEL.ldt + 8,
    bytes: [...descriptorBytes(0, FLAT, 0xc0f2), ...descriptorBytes(0, FLAT, 0xc0fa)],
  },
];

/** Any selector: of any kind, any RPL, now and then beyond a table or in the LDT. */
export function anySelector(random: Random): number {
  if (random.oneIn(10)) return random.below(4);
  if (random.oneIn(8)) return 8 * random.below(4) + 4 + random.below(4);
  if (random.oneIn(20)) return random.below(0x10000);
  return 8 * (1 + random.below(FREE_SLOT / 8 + 2)) + random.below(4);
}

/** Code and stack of a level, flat, with the level as RPL. */
export const LEVEL = [
  { cs: KERNEL_SELECTOR.code, ss: KERNEL_SELECTOR.data },
  { cs: SELECTOR.code1 | 1, ss: SELECTOR.data1 | 1 },
  { cs: SELECTOR.code2 | 2, ss: SELECTOR.data2 | 2 },
  { cs: KERNEL_SELECTOR.userCode, ss: KERNEL_SELECTOR.userData },
] as const;
/** A level, 0 to 3. */
export type Level = 0 | 1 | 2 | 3;

/** Bytes of dwords, little-endian. */
export function dwords(...values: readonly number[]): number[] {
  return values.flatMap((value) => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff));
}

/** Bytes of 16-bit words. */
export function words(...values: readonly number[]): number[] {
  return values.flatMap((value) => [value & 0xff, (value >>> 8) & 0xff]);
}

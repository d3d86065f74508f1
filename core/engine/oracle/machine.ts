// The machine that both processors are set up as: where things are, descriptor tables, page tables, handlers that record
// what happened. Each mode is a set of register values over the same memory.
import { CR0, CR4, EFER } from "../../base/registers.ts";

/** What the memory image consists of; linear and physical addresses are the same below 4 MiB. */
export const AT = {
  /** Interrupt vector table of real mode. */
  ivt: 0,
  /** Code that brings QEMU into a mode, and its parameters: the embedded engine is put there by hand. */
  setup: 0x14000,
  parameters: 0x15000,
  /** Code segment of real mode. */
  code: 0x20000,
  /** Code under trial ends here: page boundaries before it are often straddled. */
  end: 0x24010,
  /** Where gates and far pointers lead. */
  target: 0x24100,
  /** Handlers of protected and long mode, and of real mode: they push their vector and go to `handled`. */
  handlers: 0x28000,
  realHandlers: 0x29000,
  handled: 0x2a000,
  realHandled: 0x2a010,
  gdt: 0x30000,
  idt: 0x31000,
  tss: 0x32000,
  ldt: 0x33000,
  tables: 0x34000,
  data: 0x60000,
  stack: 0x70000,
  kernelStack: 0x74000,
  alternateStack: 0x76000,
  userStack: 0x78000,
  fifthLevel: 0x7c000,
} as const;

/** What trials may change, and what is compared after each: tables, data, stacks. */
export const WATCHED = [
  { address: AT.gdt, length: 0x10000 },
  { address: AT.data, length: 0x20000 },
] as const;

/** RAM in bytes. */
export const MEMORY = 1 << 20;

/** Selectors, by what their descriptors are. Code at 0x08 and 0x38 is 64-bit in long mode, 32-bit otherwise. */
export const SELECTOR = {
  code0: 0x08,
  data0: 0x10,
  code32: 0x18,
  userCode32: 0x2b,
  userData: 0x33,
  userCode: 0x3b,
  tss: 0x40,
  code16: 0x50,
  data16: 0x58,
  ldt: 0x88,
  callGate: 0x98,
  setupCode32: 0xd0,
  setupData: 0xd8,
  setupCode64: 0xe0,
  userCode16: 0xeb,
  userData16: 0xf3,
} as const;
/** Bytes of the GDT. */
export const GDT_BYTES = 0xf8;

export type Family = "real" | "protected" | "long";

/** A way to run code. */
export interface Mode {
  readonly name: string;
  readonly family: Family;
  readonly bits: 16 | 32 | 64;
  readonly user: boolean;
  readonly cs: number;
  readonly ss: number;
  readonly data: number;
  readonly cr0: bigint;
  readonly cr3: bigint;
  readonly cr4: bigint;
  readonly efer: bigint;
}

const PAGED = BigInt(CR0.PE | CR0.ET | CR0.WP) | BigInt(CR0.PG);
const NONE = { cr3: 0n, cr4: 0n, efer: 0n };
/** Page-table roots: each paging mode has its own tables. */
export const ROOT = {
  legacy: AT.tables,
  pae: AT.tables + 0x3000,
  long: AT.tables + 0x8000,
  /** Its first two entries lead to the tables of long mode. */
  la57: AT.fifthLevel,
} as const;
const LEGACY = { cr0: PAGED, cr3: BigInt(ROOT.legacy), cr4: BigInt(CR4.PSE), efer: 0n };
const PAE = {
  cr0: PAGED,
  cr3: BigInt(ROOT.pae),
  cr4: BigInt(CR4.PAE),
  efer: BigInt(EFER.NXE),
};
const LONG = {
  cr0: PAGED,
  cr3: BigInt(ROOT.long),
  cr4: BigInt(CR4.PAE),
  efer: BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE),
};
const LA57 = {
  ...LONG,
  cr3: BigInt(ROOT.la57),
  cr4: BigInt(CR4.PAE | CR4.LA57),
};
const KERNEL = { user: false, ss: SELECTOR.data0, data: SELECTOR.data0 };
const USER = { user: true, ss: SELECTOR.userData, data: SELECTOR.userData };
const S = SELECTOR;

/** All modes there are. */
export const MODES: readonly Mode[] = [
  {
    name: "real16",
    family: "real",
    bits: 16,
    user: false,
    cs: AT.code >> 4,
    ss: AT.stack >> 4,
    data: AT.data >> 4,
    cr0: BigInt(CR0.ET),
    ...NONE,
  },
  { name: "protected32/0", family: "protected", bits: 32, cs: S.code0, ...KERNEL, ...LEGACY },
  { name: "protected32/3", family: "protected", bits: 32, cs: S.userCode, ...USER, ...LEGACY },
  { name: "pae32/0", family: "protected", bits: 32, cs: S.code0, ...KERNEL, ...PAE },
  { name: "pae32/3", family: "protected", bits: 32, cs: S.userCode, ...USER, ...PAE },
  {
    name: "protected16/0",
    family: "protected",
    bits: 16,
    cs: S.code16,
    user: false,
    ss: S.data16,
    data: S.data16,
    ...LEGACY,
  },
  {
    name: "protected16/3",
    family: "protected",
    bits: 16,
    cs: S.userCode16,
    user: true,
    ss: S.userData16,
    data: S.userData16,
    ...LEGACY,
  },
  { name: "long64/0", family: "long", bits: 64, cs: S.code0, ...KERNEL, ...LONG },
  { name: "long64/3", family: "long", bits: 64, cs: S.userCode, ...USER, ...LONG },
  { name: "la57/0", family: "long", bits: 64, cs: S.code0, ...KERNEL, ...LA57 },
  { name: "la57/3", family: "long", bits: 64, cs: S.userCode, ...USER, ...LA57 },
  { name: "compatibility32/3", family: "long", bits: 32, cs: S.userCode32, ...USER, ...LONG },
  {
    name: "compatibility16/3",
    family: "long",
    bits: 16,
    cs: S.userCode16,
    user: true,
    ss: S.userData16,
    data: S.userData16,
    ...LONG,
  },
];

/** The mode of a name. */
export function modeOf(name: string): Mode {
  const mode = MODES.find((candidate) => candidate.name === name);
  if (!mode) throw new Error(`No mode is called ${name}`);
  return mode;
}

/** MSRs of every trial outside real mode (numbers: SDM vol. 4, table 2-2). FS and GS bases are those of null selectors. */
export function msrsOf(mode: Mode): readonly (readonly [msr: number, value: bigint])[] {
  if (mode.family === "real") return [];
  return [
    [0x174, 0n],
    [0xc000_0081, 0x0028_0008_0000_0000n],
    [0xc000_0082, BigInt(AT.target)],
    [0xc000_0084, 0x4700n],
    [0xc000_0102, mode.family === "long" ? 0xffff_8000_0000_2000n : 0n],
  ];
}

/** Pages from 4 MiB on (2 MiB apart from long mode's): entries that refuse something, all leading to one frame. */
export const SPECIAL_PAGES = 0x400000;
export const SPECIAL_BYTES = 0x8000, SPECIAL_FRAME = 0x7a000;

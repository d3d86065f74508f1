// The machine that both processors are set up as: where things are, descriptor tables, page tables, handlers that record
// what happened. Each mode is a set of register values over the same memory.
import { CR0, CR4, EFER } from "../../base/registers.ts";
import { descriptor } from "../../guest/boot.ts";

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
} as const;

/** What trials may change, and what is compared after each: tables, data, stacks. */
export const WATCHED = [
  { address: AT.gdt, length: 0x10000 },
  { address: AT.data, length: 0x20000 },
] as const;

/** RAM in bytes. */
export const MEMORY = 1 << 20;
/** Bytes from one handler to the next. */
export const HANDLER_STRIDE = 8;
/** Stops the embedded engine at any privilege level; QEMU has a breakpoint there. */
const VMCALL = [0x0f, 0x01, 0xc1];

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
const GDT_BYTES = 0xf8;

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

/** Memory of a mode before anything runs. `busy`: the task register is loaded. */
export function initialMemory(family: Family, busy: boolean): Uint8Array {
  const memory = new Uint8Array(0x80000);
  const view = new DataView(memory.buffer);
  putHandlers(view, family);
  memory.set(VMCALL, AT.end);
  memory.set(VMCALL, AT.target);
  if (family === "real") return memory;
  putDescriptors(view, family, busy);
  putInterruptTable(view, family);
  putTaskState(view, family);
  putPageTables(view);
  return memory;
}

function putHandlers(view: DataView, family: Family): void {
  const real = family === "real";
  const base = real ? AT.realHandlers : AT.handlers;
  const goal = real ? AT.realHandled : AT.handled;
  for (let vector = 0; vector < 256; vector++) {
    const at = base + vector * HANDLER_STRIDE;
    const distance = goal - (at + (real ? 5 : 7));
    view.setUint16(at, 0x6a | vector << 8, true);
    view.setUint8(at + 2, 0xe9);
    if (real) view.setInt16(at + 3, distance, true);
    else view.setInt32(at + 3, distance, true);
    if (real) view.setUint32(AT.ivt + 4 * vector, (AT.code >> 4 << 16) | (at - AT.code), true);
  }
  VMCALL.forEach((byte, i) => view.setUint8(goal + i, byte));
}

const FLAT = 0xffff_ffff;

function putDescriptors(view: DataView, family: Family, busy: boolean): void {
  const long = family === "long";
  const put = (selector: number, base: number, limit: number, attributes: number) =>
    view.setBigUint64(AT.gdt + (selector & ~7), descriptor(base, limit, attributes), true);
  put(0x08, 0, FLAT, long ? 0xa09b : 0xc09b);
  put(0x10, 0, FLAT, 0xc093);
  put(0x18, 0, FLAT, 0xc09b);
  put(0x20, 0, FLAT, 0xc093);
  put(0x28, 0, FLAT, 0xc0fb);
  put(0x30, 0, FLAT, 0xc0f3);
  put(0x38, 0, FLAT, long ? 0xa0fb : 0xc0fb);
  put(0x40, AT.tss, 0xff, busy ? 0x8b : 0x89);
  put(0x50, AT.code, 0xffff, 0x009b);
  put(0x58, AT.stack, 0xffff, 0x0093);
  put(0x60, 0, FLAT, 0xc013); // absent
  put(0x68, 0, FLAT, long ? 0xa09e : 0xc09e); // conforming, not accessed
  put(0x70, 0, FLAT, 0xc098); // execute-only
  put(0x78, 0, FLAT, 0xc090); // read-only
  put(0x80, 0, 0xfff, 0x4096); // expand-down
  put(0x88, AT.ldt, 0x0f, 0x82);
  view.setUint32(AT.gdt + 0x98, (AT.target & 0xffff) | 0x80000, true);
  view.setUint32(AT.gdt + 0x9c, (AT.target & 0xffff_0000) | 0xec00 | (long ? 0 : 1), true);
  put(0xa8, 0, FLAT, 0xc0fe); // conforming, for level 3
  put(0xb0, 0, FLAT, 0xc0f2);
  put(0xb8, 0x60000, 0xffff, 0x0092);
  put(0xc0, AT.tss, 0xff, 0x89);
  put(S.setupCode32, 0, FLAT, 0xc09b);
  put(S.setupData, 0, FLAT, 0xc093);
  put(S.setupCode64, 0, FLAT, 0xa09b);
  put(S.userCode16, AT.code, 0xffff, 0x00fb);
  put(S.userData16, AT.stack, 0xffff, 0x00f3);
  view.setBigUint64(AT.ldt + 8, descriptor(0, FLAT, 0xc0f2), true);
}

/** Vectors with gates unlike the others: [selector, type and DPL, IST]. INT n reaches those of DPL 3 from user mode. */
const SPECIAL_GATES: Readonly<Record<number, readonly [number, number, number]>> = {
  3: [8, 0xee, 0],
  4: [8, 0xee, 0],
  0x81: [8, 0xee, 0],
  0x82: [8, 0xef, 0],
  0x83: [8, 0x6e, 0], // not present
  0x84: [8, 0xe5, 0], // task gate
  0x85: [0x10, 0xee, 0], // data
  0x86: [0, 0xee, 0], // null
  0x87: [8, 0xe6, 0], // 16-bit gate
  0x88: [0x38, 0xee, 0], // outer code
  0x89: [0x68, 0xee, 0], // conforming
  0x8a: [0x18, 0xee, 0], // not 64-bit
  0x8b: [8, 0xee, 1],
  0x8c: [8, 0xee, 2], // stack not canonical
  0x8d: [8, 0xee, 3], // stack not mapped
  8: [8, 0x8e, 1],
};

function putInterruptTable(view: DataView, family: Family): void {
  const stride = family === "long" ? 16 : 8;
  for (let vector = 0; vector < 256; vector++) {
    const [selector, type, ist] = SPECIAL_GATES[vector] ?? [8, 0x8e, 0];
    const offset = AT.handlers + vector * HANDLER_STRIDE;
    const at = AT.idt + vector * stride;
    view.setUint32(at, (offset & 0xffff) | selector << 16, true);
    const stack = family === "long" ? ist : 0;
    view.setUint32(at + 4, (offset & 0xffff_0000) | type << 8 | stack, true);
  }
}

/** Ports 0x80 to 0x87 are open to user mode. */
const IO_MAP = 0x68;

function putTaskState(view: DataView, family: Family): void {
  const at = AT.tss;
  if (family === "long") {
    view.setUint32(at + 4, AT.kernelStack, true);
    view.setUint32(at + 0x24, AT.alternateStack, true);
    view.setBigUint64(at + 0x2c, 0x8000_0000_0000n, true);
    view.setUint32(at + 0x34, 0x404000, true);
  } else {
    view.setUint32(at + 4, AT.kernelStack, true);
    view.setUint32(at + 8, SELECTOR.data0, true);
  }
  view.setUint16(at + 0x66, IO_MAP, true);
  for (let i = IO_MAP; i < 0x100; i++) view.setUint8(at + i, 0xff);
  view.setUint8(at + IO_MAP + 0x10, 0);
}

/** Present, writable, user, accessed, dirty. */
const OPEN = 0x67;
/** Pages from 4 MiB on (2 MiB apart from long mode's): entries that refuse something, all leading to one frame. */
export const SPECIAL_PAGES = 0x400000;
const FRAME = 0x7a000;
const NX = 0x8000_0000;
/** [lower half, upper half]: in order, page by page; user read-only, kernel writable, kernel read-only, absent, ... */
const SPECIAL_ENTRIES: readonly (readonly [number, number])[] = [
  [FRAME | 7, 0],
  [FRAME | 5, 0],
  [FRAME | 3, 0],
  [FRAME | 1, 0],
  [FRAME | 6, 0],
  [FRAME | 7, NX],
  [FRAME | 7, 0x80000], // reserved bit 51
  [FRAME | 3, NX],
];

function putPageTables(view: DataView): void {
  // 32-bit: directory, table of the first 4 MiB, table of the special pages. A reserved bit in the third large page.
  const { legacy, pae, long } = ROOT;
  view.setUint32(legacy, (legacy + 0x1000) | OPEN, true);
  view.setUint32(legacy + 4, (legacy + 0x2000) | 0x27, true);
  view.setUint32(legacy + 8, 0x2000e7, true);
  for (let page = 0; page < 1024; page++) {
    view.setUint32(legacy + 0x1000 + 4 * page, page << 12 | OPEN, true);
  }
  // PAE: pointers, directory, table of the first 2 MiB, of the special pages.
  view.setUint32(pae, (pae + 0x1000) | 1, true);
  view.setUint32(pae + 0x1000, (pae + 0x2000) | OPEN, true);
  view.setUint32(pae + 0x1008, 0x2000e7, true);
  view.setUint32(pae + 0x1010, (pae + 0x3000) | 0x27, true);
  view.setUint32(pae + 0x1018, 0x6020e7, true);
  // Long: PML4, pointers, directory, tables.
  view.setUint32(long, (long + 0x1000) | 0x27, true);
  view.setUint32(long + 0x1000, (long + 0x2000) | 0x27, true);
  view.setUint32(long + 0x2000, (long + 0x3000) | OPEN, true);
  view.setUint32(long + 0x2008, 0x2000e7, true);
  view.setUint32(long + 0x2010, (pae + 0x3000) | 0x27, true);
  view.setUint32(long + 0x2018, 0x6020e7, true);
  for (let page = 0; page < 512; page++) {
    view.setUint32(pae + 0x2000 + 8 * page, page << 12 | OPEN, true);
    view.setUint32(long + 0x3000 + 8 * page, page << 12 | OPEN, true);
  }
  SPECIAL_ENTRIES.forEach(([low, high], i) => {
    view.setUint32(legacy + 0x2000 + 4 * i, high ? 0 : low, true);
    view.setUint32(pae + 0x3000 + 8 * i, low, true);
    view.setUint32(pae + 0x3004 + 8 * i, high, true);
  });
}

export { GDT_BYTES };

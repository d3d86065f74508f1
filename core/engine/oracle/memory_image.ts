// Memory of the oracle's machine before anything runs: descriptor tables, gates, task state, page tables, and handlers that
// record which vector brought them up.
import { descriptor } from "../../guest/boot.ts";
import { AT, type Family, ROOT, SELECTOR, SPECIAL_FRAME } from "./machine.ts";

/** Bytes from one handler to the next. */
const HANDLER_STRIDE = 8;
/** Stops the embedded engine at any privilege level; QEMU has a breakpoint there. */
const VMCALL = [0x0f, 0x01, 0xc1];

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
  put(SELECTOR.setupCode32, 0, FLAT, 0xc09b);
  put(SELECTOR.setupData, 0, FLAT, 0xc093);
  put(SELECTOR.setupCode64, 0, FLAT, 0xa09b);
  put(SELECTOR.userCode16, AT.code, 0xffff, 0x00fb);
  put(SELECTOR.userData16, AT.stack, 0xffff, 0x00f3);
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
const NX = 0x8000_0000;
/** [lower half, upper half]: in order, page by page; user read-only, kernel writable, kernel read-only, absent, ... */
const SPECIAL_ENTRIES: readonly (readonly [number, number])[] = [
  [SPECIAL_FRAME | 7, 0],
  [SPECIAL_FRAME | 5, 0],
  [SPECIAL_FRAME | 3, 0],
  [SPECIAL_FRAME | 1, 0],
  [SPECIAL_FRAME | 6, 0],
  [SPECIAL_FRAME | 7, NX],
  [SPECIAL_FRAME | 7, 0x80000], // reserved bit 51
  [SPECIAL_FRAME | 3, NX],
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
  for (const slot of [0, 8]) view.setUint32(ROOT.la57 + slot, long | 0x27, true);
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

// The domain builder: from a guest image to a PV domain as Xen's tools would make it, ready to be entered. Differences from
// theirs, both so that one program runs on every back end: RAM is mapped at its own addresses rather than at a kernel's
// virtual base, and machine frames equal the guest's own (P2M and M2P are the identity). Shared pages and the disk's ring
// lie at fixed places (`../../guest/layout.ts`) instead of being agreed on through a xenstore.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import type { GuestImage } from "../../guest/image.ts";
import {
  PV_FRAMES_END,
  UNMAPPED_BASE,
  XEN_CONSOLE_PORT,
  XEN_CONSOLE_RING,
  XEN_HYPERCALL_PAGE,
  XEN_SHARED_INFO,
  XEN_START_INFO,
  XEN_STORE_PORT,
  XEN_STORE_RING,
  XEN_TABLES_BASE,
  XEN_TABLES_END,
} from "../../guest/layout.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { GDT_VIRT_START, MACH2PHYS_VIRT_START, START_INFO, VCPU_INFO, XEN_VERSION } from "./abi.ts";
import { MAX_GDT_FRAMES } from "./descriptors.ts";
import { hypercallPage } from "./hypercall_page.ts";
import { ENTRIES, ENTRY_SIZE, entryOf, PTE, slotOf } from "./page_tables.ts";

/** What the rest of Xen must know of a domain that has been built. */
export interface BuiltDomain {
  /** Guest-physical address of the top-level table. */
  readonly topTable: number;
  /** Frames that belong to Xen, in the domain's RAM only because this machine has no other. */
  readonly xenFrames: readonly number[];
  /** Entries of Xen's slots, the same in every top-level table. */
  readonly xenEntries: readonly { readonly slot: number; readonly entry: bigint }[];
  /** Guest-physical address of the level-1 table that maps the GDT. */
  readonly gdtTable: number;
  /** A frame of null descriptors, for the parts of the GDT that the guest leaves empty. */
  readonly noDescriptors: number;
  /** Guest-physical address of the machine-to-physical list. */
  readonly m2p: number;
}

/** The image can't be built as a domain; the message is a sentence for its user. */
export class DomainBuildError extends Error {
  override readonly name = "DomainBuildError";
}

/** What hardware and Xen set in the entries they make. */
const TABLE = PTE.P | PTE.W | PTE.U | PTE.A;
const DATA = PTE.P | PTE.W | PTE.U | PTE.A | PTE.D;
/** Bytes a P2M or M2P entry takes. */
const LIST_ENTRY = 8;

/** Descriptors of Xen's part of the GDT: code 32, data, code 64, at selectors 0xe020 to 0xe030, all DPL 3 and accessed. */
const GDT_FIRST = 4;
const GDT_DESCRIPTORS = [0x00cf_fb00_0000_ffffn, 0x00cf_f300_0000_ffffn, 0x00af_fb00_0000_ffffn];

/** Hands out frames for tables and lists, in one run. */
class Frames {
  #next: number;
  constructor(readonly start: number, readonly end: number) {
    this.#next = start;
  }
  take(count: number): number {
    const at = this.#next;
    this.#next += count * PAGE_SIZE;
    if (this.#next > this.end) throw new Error("The domain builder has miscounted its frames");
    return at;
  }
}

/** How many frames tables and lists take, for this many frames of RAM and this many that are mapped. */
function framesNeeded(ram: number, mapped: number): { tables: number; list: number; all: number } {
  const list = Math.ceil(ram * LIST_ENTRY / PAGE_SIZE);
  const level1 = Math.ceil(mapped / ENTRIES);
  const level2 = Math.ceil(level1 / ENTRIES);
  // The guest's tables: those, one of level 3, the top.
  const tables = level1 + level2 + 2;
  // Xen's: levels 3 and 2 for the M2P and its level-1 tables; three levels and two pages for the GDT.
  const xen = 2 + Math.ceil(list / ENTRIES) + 5;
  return { tables, list, all: tables + 2 * list + xen };
}

/**
 * Builds the domain in `memory`; `gate` is the instruction of hypercalls, where it is not SYSCALL. Throws
 * {@linkcode DomainBuildError} when the image leaves no room for its tables.
 */
export function buildDomain(
  memory: GuestMemory,
  image: GuestImage,
  gate?: Uint8Array,
): BuiltDomain {
  const ram = Math.floor(memory.size / PAGE_SIZE);
  // On every back end there is nothing at 1 GiB; RAM beyond it is the domain's, but not mapped.
  const mapped = Math.min(ram, UNMAPPED_BASE / PAGE_SIZE);
  const needed = framesNeeded(ram, mapped);
  const low = needed.all * PAGE_SIZE <= XEN_TABLES_END - XEN_TABLES_BASE;
  const start = low ? XEN_TABLES_BASE : (mapped - needed.all) * PAGE_SIZE;
  if (memory.size < XEN_TABLES_END || (!low && start < image.free)) {
    throw new DomainBuildError(
      `The domain builder finds no room for page tables: ${memory.size} bytes of memory, program to ${image.free}`,
    );
  }
  for (const { address, bytes } of image.placed) memory.write(address as Gpa, bytes);
  // What the library's frame allocator may hand out ends where the tables begin.
  if (!low) memory.writeU64(PV_FRAMES_END as Gpa, BigInt(start));

  const frames = new Frames(start, start + needed.all * PAGE_SIZE);
  const tables = frames.take(needed.tables);
  const p2m = frames.take(needed.list);
  const xenStart = frames.take(0);
  const m2p = frames.take(needed.list);
  const xen = xenArea(memory, frames, m2p, needed.list);
  const xenFrames = range(xenStart / PAGE_SIZE, start / PAGE_SIZE + needed.all);
  const identity = BigUint64Array.from({ length: ram }, (_, frame) => BigInt(frame));
  for (const list of [p2m, m2p]) memory.write(list as Gpa, new Uint8Array(identity.buffer));
  guestTables(memory, tables, needed.tables, mapped, new Set(xenFrames));
  sharedPages(memory, tables, needed.tables, p2m);
  memory.write(XEN_HYPERCALL_PAGE as Gpa, hypercallPage(gate));
  return { topTable: tables, xenFrames, m2p, ...xen };
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}

/** Identity map of this many frames of RAM: page tables read-only, Xen's frames not at all. The top-level table comes first. */
function guestTables(
  memory: GuestMemory,
  top: number,
  count: number,
  mapped: number,
  xen: ReadonlySet<number>,
): void {
  const level1 = Math.ceil(mapped / ENTRIES);
  const level2 = count - 2 - level1;
  const firstTable = top / PAGE_SIZE;
  // Tables of a level lie side by side, so entries of a level run on from one table into the next.
  const entries = new BigUint64Array(count * ENTRIES);
  const [level3At, level2At, level1At] = [1, 2, 2 + level2];
  entries[0] = entryOf(firstTable + level3At, TABLE);
  for (let i = 0; i < level2; i++) {
    entries[level3At * ENTRIES + i] = entryOf(firstTable + level2At + i, TABLE);
  }
  for (let i = 0; i < level1; i++) {
    entries[level2At * ENTRIES + i] = entryOf(firstTable + level1At + i, TABLE);
  }
  for (let frame = 0; frame < mapped; frame++) {
    if (xen.has(frame)) continue;
    const isTable = frame >= firstTable && frame < firstTable + count;
    entries[level1At * ENTRIES + frame] = entryOf(frame, isTable ? DATA & ~PTE.W : DATA);
  }
  memory.write(top as Gpa, new Uint8Array(entries.buffer));
}

/** Xen's part of every address space: the M2P, which guests may read, and the GDT, which only the CPU does. */
function xenArea(memory: GuestMemory, frames: Frames, m2p: number, m2pPages: number) {
  const map = (linear: bigint, pages: readonly number[], flags: bigint) => {
    const level1s = Math.ceil(pages.length / ENTRIES);
    const level3 = frames.take(1);
    const level2 = frames.take(1);
    const level1 = frames.take(level1s);
    memory.write(level3 as Gpa, new Uint8Array((2 + level1s) * PAGE_SIZE));
    const link = (table: number, slot: number, page: number, bits: bigint) =>
      memory.writeU64(table + slot * ENTRY_SIZE as Gpa, entryOf(page / PAGE_SIZE, bits));
    link(level3, 0, level2, TABLE);
    for (let i = 0; i < level1s; i++) link(level2, i, level1 + i * PAGE_SIZE, TABLE);
    pages.forEach((page, i) => link(level1, i, page, flags));
    return {
      level1,
      entry: { slot: slotOf(linear, 4), entry: entryOf(level3 / PAGE_SIZE, TABLE) },
    };
  };
  const list = Array.from({ length: m2pPages }, (_, i) => m2p + i * PAGE_SIZE);
  const machineToPhysical = map(MACH2PHYS_VIRT_START, list, DATA & ~PTE.W);
  const gdt = frames.take(1);
  memory.write(gdt as Gpa, new Uint8Array(PAGE_SIZE));
  GDT_DESCRIPTORS.forEach((descriptor, i) =>
    memory.writeU64(gdt + (GDT_FIRST + i) * ENTRY_SIZE as Gpa, descriptor)
  );
  // The guest's own pages come first: null descriptors until it gives some. Supervisor only, as the CPU reads them.
  const zeros = frames.take(1);
  memory.write(zeros as Gpa, new Uint8Array(PAGE_SIZE));
  const gdtPages = Array.from({ length: MAX_GDT_FRAMES }, () => zeros);
  const descriptors = map(GDT_VIRT_START, [...gdtPages, gdt], DATA & ~PTE.U);
  return {
    xenEntries: [machineToPhysical.entry, descriptors.entry],
    gdtTable: descriptors.level1,
    noDescriptors: zeros / PAGE_SIZE,
  };
}

/** start_info, shared_info; console and store rings, empty. */
function sharedPages(memory: GuestMemory, top: number, tables: number, p2m: number): void {
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  const { major, minor } = XEN_VERSION;
  page.set(new TextEncoder().encode(`xen-${major}.${minor}-x86_64`), START_INFO.magic);
  const u64 = (offset: number, value: number) => view.setBigUint64(offset, BigInt(value), true);
  u64(START_INFO.nr_pages, Math.floor(memory.size / PAGE_SIZE));
  u64(START_INFO.shared_info, XEN_SHARED_INFO);
  u64(START_INFO.store_mfn, XEN_STORE_RING / PAGE_SIZE);
  view.setUint32(START_INFO.store_evtchn, XEN_STORE_PORT, true);
  u64(START_INFO.console_mfn, XEN_CONSOLE_RING / PAGE_SIZE);
  view.setUint32(START_INFO.console_evtchn, XEN_CONSOLE_PORT, true);
  u64(START_INFO.pt_base, top);
  u64(START_INFO.nr_pt_frames, tables);
  u64(START_INFO.mfn_list, p2m);
  memory.write(XEN_START_INFO as Gpa, page);

  for (const ring of [XEN_SHARED_INFO, XEN_CONSOLE_RING, XEN_STORE_RING]) {
    memory.write(ring as Gpa, new Uint8Array(PAGE_SIZE));
  }
  // Events are held back until the guest is ready for them.
  memory.write(XEN_SHARED_INFO + VCPU_INFO.evtchn_upcall_mask as Gpa, Uint8Array.of(1));
}

// Segment descriptors of a PV guest: its own pages of the GDT, below Xen's. A guest must not get a segment or gate that
// leads to more privilege than it has.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import type { Segment } from "../../base/registers.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { FIRST_RESERVED_GDT_ENTRY, FLAT } from "./abi.ts";
import { ENTRIES, ENTRY_SIZE, entryOf, PTE } from "./page_tables.ts";
import { invalid } from "./refused.ts";

/** Fields of a descriptor's upper half (SDM vol. 3, 3.4.5). */
const S = 1n << 44n;
const PRESENT = 1n << 47n;
const DPL = 3n << 45n;
const CODE = 1n << 43n;
const GRANULAR = 1n << 55n;
const CONFORMING = 1n << 42n;

/**
 * A descriptor fit for a guest: code and data become DPL 3, where its kernel runs. Throws `Refused` for gates and system
 * segments, and for conforming code.
 */
export function checkedDescriptor(descriptor: bigint): bigint {
  if ((descriptor & PRESENT) === 0n) return descriptor;
  if ((descriptor & S) === 0n) throw invalid();
  if ((descriptor & CODE) !== 0n && (descriptor & CONFORMING) !== 0n) throw invalid();
  return descriptor | DPL;
}

/** Checks a page of descriptors, and corrects what can be. Throws `Refused`. */
export function checkDescriptorPage(memory: GuestMemory, frame: number): void {
  for (let entry = 0; entry < ENTRIES; entry++) {
    const at = frame * PAGE_SIZE + entry * ENTRY_SIZE as Gpa;
    const descriptor = memory.readU64(at);
    const checked = checkedDescriptor(descriptor);
    if (checked !== descriptor) memory.writeU64(at, checked);
  }
}

/** Most pages a guest can have in the GDT: those below Xen's. */
export const MAX_GDT_FRAMES = FIRST_RESERVED_GDT_ENTRY / ENTRIES;

/** Puts the guest's frames where the CPU finds them: the level-1 table of Xen's GDT area; `empty` where there are none. */
export function loadGuestGdt(
  memory: GuestMemory,
  gdtTable: number,
  frames: readonly number[],
  empty: number,
): void {
  for (let page = 0; page < MAX_GDT_FRAMES; page++) {
    // Writable for the CPU, which marks descriptors as accessed.
    const entry = entryOf(frames[page] ?? empty, PTE.P | PTE.W | PTE.A | PTE.D);
    memory.writeU64(gdtTable + ENTRY_SIZE * page as Gpa, entry);
  }
}

/** Hidden parts of the flat segments: present, DPL 3, accessed; 64-bit code, 32-bit code, data (SDM vol. 3, 3.4.5). */
const FLAT_ATTRIBUTES: ReadonlyMap<number, number> = new Map([
  [FLAT.cs64, 0xa0fb],
  [FLAT.cs32, 0xc0fb],
  [FLAT.ss, 0xc0f3],
]);

/** No segment: base 0, unusable. */
export const NULL_SEGMENT: Segment = { selector: 0, base: 0n, limit: 0, attributes: 0 };

/** What a selector names, in Xen's part of the GDT or the guest's; undefined for what can't be loaded at CPL 3. */
export function segmentOf(
  memory: GuestMemory,
  gdtFrames: readonly number[],
  selector: number,
): Segment | undefined {
  const attributes = FLAT_ATTRIBUTES.get(selector);
  if (attributes !== undefined) return { selector, base: 0n, limit: 0xffff_ffff, attributes };
  const index = selector >> 3;
  const frame = gdtFrames[Math.floor(index / ENTRIES)];
  if (frame === undefined || (selector & 4) !== 0) return undefined;
  const d = memory.readU64(frame * PAGE_SIZE + index % ENTRIES * ENTRY_SIZE as Gpa);
  if ((d & PRESENT) === 0n || (d & S) === 0n) return undefined;
  const limit = Number(d & 0xffffn | d >> 32n & 0xf0000n);
  return {
    selector,
    base: d >> 16n & 0xff_ffffn | d >> 32n & 0xff00_0000n,
    limit: (d & GRANULAR) !== 0n ? limit * PAGE_SIZE + PAGE_SIZE - 1 : limit,
    attributes: Number(d >> 40n & 0xf0ffn),
  };
}

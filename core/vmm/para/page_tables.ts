// Page-table entries and walks, as direct paging needs them: the guest's tables are the hardware's, so a machine address is a
// guest-physical one. Four levels, 4 KiB pages; Xen gives PV guests no large ones (SDM vol. 3, 4.5).
import { type Gpa, PAGE_SHIFT, PAGE_SIZE } from "../../base/address.ts";
import type { GuestMemory } from "../../machine/memory.ts";

/** Bits of an entry. */
export const PTE = {
  P: 1n << 0n,
  W: 1n << 1n,
  U: 1n << 2n,
  A: 1n << 5n,
  D: 1n << 6n,
  PS: 1n << 7n,
  NX: 1n << 63n,
} as const;

/** Page-fault error code: the access came from CPL 3 (SDM vol. 3, 4.7). */
export const PFEC_USER = 4;
/** It was a write. */
export const PFEC_WRITE = 2;
/** The page was there: the rights were missing. */
export const PFEC_PRESENT = 1;

/** The machine frame's bits. */
export const ADDRESS_MASK = 0x000f_ffff_ffff_f000n;
/** Bits 52 to 62: reserved, or ignored by the hardware; Xen lets guests have none of them. */
export const DISALLOWED = 0x7ff0_0000_0000_0000n;

/** Entries of a table, and bytes of one. */
export const ENTRIES = 512;
export const ENTRY_SIZE = 8;

/** Machine frame number of an entry. */
export function frameOf(entry: bigint): number {
  return Number((entry & ADDRESS_MASK) >> BigInt(PAGE_SHIFT));
}

/** An entry for a frame. */
export function entryOf(frame: number, flags: bigint): bigint {
  return BigInt(frame) << BigInt(PAGE_SHIFT) | flags;
}

/** Which entry of a table of this level (4 is the top) translates a linear address. */
export function slotOf(linear: bigint, level: number): number {
  return Number(linear >> BigInt(PAGE_SHIFT + 9 * (level - 1)) & 0x1ffn);
}

/** Are bits 48 to 63 copies of bit 47? */
export function isCanonical(linear: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, linear)) === linear;
}

/** Where the level-1 entry for a linear address is; undefined when a table above it is missing. */
export function leafEntry(memory: GuestMemory, top: number, linear: bigint): number | undefined {
  let table = top;
  for (let level = 4;; level--) {
    const at = table + ENTRY_SIZE * slotOf(linear, level);
    if (level === 1) return at;
    const entry = memory.readU64(at as Gpa);
    if ((entry & PTE.P) === 0n || (entry & PTE.PS) !== 0n) return undefined;
    table = frameOf(entry) * PAGE_SIZE;
    if (table + PAGE_SIZE > memory.size) return undefined;
  }
}

/** What a walk finds. */
export interface Leaf {
  /** Guest-physical address of the byte. */
  readonly address: number;
  readonly writable: boolean;
}

/** Translates for CPL 3, where a PV guest runs, its kernel too; undefined when it has no access. Changes nothing. */
export function walk(memory: GuestMemory, top: number, linear: bigint): Leaf | undefined {
  if (!isCanonical(linear)) return undefined;
  let table = top;
  let rights = PTE.P | PTE.U | PTE.W;
  for (let level = 4; level >= 1; level--) {
    if (table + PAGE_SIZE > memory.size) return undefined;
    const entry = memory.readU64((table + ENTRY_SIZE * slotOf(linear, level)) as Gpa);
    rights &= entry;
    if ((rights & PTE.P) === 0n || (rights & PTE.U) === 0n) return undefined;
    if (level > 1 && (entry & PTE.PS) !== 0n) return undefined;
    table = frameOf(entry) * PAGE_SIZE;
  }
  const address = table + Number(linear & BigInt(PAGE_SIZE - 1));
  return { address, writable: (rights & PTE.W) !== 0n };
}

// The page tables a long64 guest starts on: RAM and device memory at their own addresses, nothing else.
import {
  IOAPIC_BASE,
  LAPIC_BASE,
  PAGE_TABLES_BASE,
  PAGE_TABLES_END,
  UNMAPPED_BASE,
  VIRTIO_MMIO_BASE,
} from "./layout.ts";
import type { Placed } from "./image.ts";

/** Page-table entry bits (SDM vol. 3, table 4-20). */
export const PTE = {
  P: 1n << 0n,
  RW: 1n << 1n,
  US: 1n << 2n,
  PWT: 1n << 3n,
  PCD: 1n << 4n,
  A: 1n << 5n,
  D: 1n << 6n,
  PS: 1n << 7n,
  G: 1n << 8n,
  NX: 1n << 63n,
} as const;

/** The address in an entry (bits 12 to 51). */
export const PTE_ADDRESS = 0xf_ffff_ffff_f000n;

const TABLE_SIZE = 4096;
const ENTRIES = 512;
const LARGE_PAGE = 0x200000;
const GIB = 0x40000000;

// Where each table is.
const PML4 = PAGE_TABLES_BASE;
const PDPT = PML4 + TABLE_SIZE;
const PD_RAM = PDPT + TABLE_SIZE;
const PD_DEVICES = PD_RAM + TABLE_SIZE;
const PT_FIRST = PD_DEVICES + TABLE_SIZE;
/** Page tables of RAM: there is room for nine. The last one is kept for a tail that fills no large page. */
const PT_COUNT = (PAGE_TABLES_END - PT_FIRST) / TABLE_SIZE - 1;
const PT_TAIL = PAGE_TABLES_END - TABLE_SIZE;

/** RAM below this (16 MiB) is mapped by 4 KiB pages, so that guests can change single ones; above it by 2 MiB pages. */
export const SMALL_PAGES_END = PT_COUNT * LARGE_PAGE;

/** Device memory, by 2 MiB pages: virtio-mmio, IO-APIC, local APIC. */
const DEVICE_PAGES = [VIRTIO_MMIO_BASE - VIRTIO_MMIO_BASE % LARGE_PAGE, IOAPIC_BASE, LAPIC_BASE];

/** CR3 at entry. */
export const BOOT_CR3 = BigInt(PML4);

/** The most RAM that is mapped: what lies above stays unmapped, so that {@linkcode UNMAPPED_BASE} keeps its promise. */
export const MAX_MAPPED_RAM = UNMAPPED_BASE;

/**
 * Tables that identity-map `memory` bytes of RAM and the device memory: supervisor only and writable in the leaves; user
 * and writable above them, so that a guest opens a page to user mode by its leaf alone. Accessed and dirty bits are clear.
 */
export function identityPageTables(memory: number): Placed[] {
  const tables = new Map<number, DataView>();
  const set = (table: number, index: number, entry: bigint) => {
    let view = tables.get(table);
    if (!view) tables.set(table, view = new DataView(new ArrayBuffer(TABLE_SIZE)));
    view.setBigUint64(8 * index, entry, true);
  };
  const inner = PTE.P | PTE.RW | PTE.US;
  const leaf = PTE.P | PTE.RW;

  set(PML4, 0, BigInt(PDPT) | inner);
  set(PDPT, 0, BigInt(PD_RAM) | inner);
  set(PDPT, 3, BigInt(PD_DEVICES) | inner);

  const ram = Math.min(memory, MAX_MAPPED_RAM);
  for (let base = 0; base < ram; base += LARGE_PAGE) {
    const index = base / LARGE_PAGE;
    if (base >= SMALL_PAGES_END && base + LARGE_PAGE <= ram) {
      set(PD_RAM, index, BigInt(base) | leaf | PTE.PS);
      continue;
    }
    const table = base < SMALL_PAGES_END ? PT_FIRST + index * TABLE_SIZE : PT_TAIL;
    set(PD_RAM, index, BigInt(table) | inner);
    for (let entry = 0; entry < ENTRIES && base + entry * TABLE_SIZE < ram; entry++) {
      set(table, entry, BigInt(base + entry * TABLE_SIZE) | leaf);
    }
  }
  for (const base of DEVICE_PAGES) {
    set(
      PD_DEVICES,
      (base - 3 * GIB) / LARGE_PAGE,
      BigInt(base) | leaf | PTE.PS | PTE.PCD | PTE.PWT,
    );
  }
  return [...tables].map(([address, view]) => ({ address, bytes: new Uint8Array(view.buffer) }));
}

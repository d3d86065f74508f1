// The guest's own page tables, walked without side effects: the MMU sets accessed and dirty bits by what comes out of
// here, monitors fill shadow tables from it. SDM vol. 3, chapter 4.
import { CR0, CR4, EFER } from "../base/registers.ts";

/** Bits of a physical address on this CPU; the rest of an entry's address field is reserved (CPUID 0x80000008). */
export const PHYSICAL_ADDRESS_BITS = 40;
/** Bits of a linear address in 4-level paging. */
export const LINEAR_ADDRESS_BITS = 48;

/** Bits of paging-structure entries (SDM vol. 3, tables 4-5 to 4-20). */
export const ENTRY = {
  P: 1n << 0n,
  RW: 1n << 1n,
  US: 1n << 2n,
  A: 1n << 5n,
  D: 1n << 6n,
  PS: 1n << 7n,
  G: 1n << 8n,
  NX: 1n << 63n,
} as const;

/** One entry that a walk read. */
export interface WalkStep {
  /** Guest-physical address of the entry. */
  readonly address: number;
  /** Bytes of the entry. */
  readonly size: 4 | 8;
  readonly entry: bigint;
}

/** What the guest's tables say of a linear address. */
export type Walk =
  & {
    /** From the root to the last entry read; empty when paging is off. */
    readonly steps: readonly WalkStep[];
  }
  & (
    | {
      readonly mapped: true;
      /** Of the linear address itself, offset included. */
      readonly gpa: number;
      /** 4 KiB, 2 MiB, 4 MiB or 1 GiB. */
      readonly pageSize: number;
      /** Rights, over all levels. */
      readonly writable: boolean;
      readonly user: boolean;
      readonly executable: boolean;
      readonly global: boolean;
      /** Of the last entry. */
      readonly dirty: boolean;
      /** Of every entry. */
      readonly accessed: boolean;
    }
    /** `reserved`: present, but a reserved bit is set. */
    | { readonly mapped: false; readonly reserved: boolean }
  );

/** Reads one entry from guest-physical memory. */
export type ReadEntry = (address: number, size: 4 | 8) => bigint;

interface Level {
  /** Lowest bit of the linear address that indexes the table, and how many bits do. */
  readonly shift: number;
  readonly indexBits: number;
  /** May PS make this entry a page? */
  readonly large: boolean;
  /** Does the entry carry R/W, U/S and NX? (PAE's page-directory pointers do not.) */
  readonly rights: boolean;
}

const level = (shift: number, large: boolean, rights = true, indexBits = 9): Level => ({
  shift,
  indexBits,
  large,
  rights,
});
const FOUR_LEVELS = [level(39, false), level(30, true), level(21, true), level(12, false)];
const PAE_LEVELS = [level(30, false, false, 2), level(21, true), level(12, false)];
const TWO_LEVELS = [level(22, true, true, 10), level(12, false, true, 10)];
const TWO_LEVELS_NO_PSE = [level(22, false, true, 10), level(12, false, true, 10)];

/** Bits 51 to 12 of an entry. */
const ADDRESS_FIELD = 0x000f_ffff_ffff_f000n;
const RESERVED_ADDRESS = ADDRESS_FIELD & ~((1n << BigInt(PHYSICAL_ADDRESS_BITS)) - 1n);
/** A page-directory-pointer entry of PAE: bits 1-2, 5-8 and 52-63 too (SDM vol. 3, table 4-8). */
const RESERVED_PDPTE = RESERVED_ADDRESS | 0xfff0_0000_0000_01e6n;

/** Is it an address that 4-level paging can translate: bits 63 to 47 all equal? */
export function isCanonical(linear: bigint): boolean {
  const top = BigInt.asUintN(64, linear) >> 47n;
  return top === 0n || top === 0x1ffffn;
}

/**
 * Translates `linear` by the tables that CR3 names, in the mode that CR0, CR4 and EFER select. Checks presence and
 * reserved bits; rights are reported, not judged. With paging off every address maps to itself. In PAE mode the four
 * pointers are read at every walk, not cached at MOV CR3.
 */
export function walkTables(
  cr0: bigint,
  cr3: bigint,
  cr4: bigint,
  efer: bigint,
  readPhysical: ReadEntry,
  linear: bigint,
): Walk {
  if (!(cr0 & BigInt(CR0.PG))) {
    const gpa = Number(BigInt.asUintN(32, linear));
    const all = { writable: true, user: true, executable: true, global: false };
    return { steps: [], mapped: true, gpa, pageSize: 4096, ...all, dirty: true, accessed: true };
  }
  const pae = (cr4 & BigInt(CR4.PAE)) !== 0n;
  const long = (efer & BigInt(EFER.LMA)) !== 0n;
  const nxe = pae && (efer & BigInt(EFER.NXE)) !== 0n;
  const levels = long
    ? FOUR_LEVELS
    : pae
    ? PAE_LEVELS
    : cr4 & BigInt(CR4.PSE)
    ? TWO_LEVELS
    : TWO_LEVELS_NO_PSE;
  const size = pae ? 8 : 4;

  const steps: WalkStep[] = [];
  let table = Number(long ? cr3 & ADDRESS_FIELD : cr3 & (pae ? 0xffff_ffe0n : 0xffff_f000n));
  let writable = true, user = true, executable = true, accessed = true;
  for (const { shift, indexBits, large, rights } of levels) {
    const index = Number(BigInt.asUintN(indexBits, linear >> BigInt(shift)));
    const address = table + index * size;
    const entry = readPhysical(address, size);
    steps.push({ address, size, entry });
    if (!(entry & ENTRY.P)) return { steps, mapped: false, reserved: false };
    const leaf = shift === 12 || (large && (entry & ENTRY.PS) !== 0n);
    if (entry & reservedBits(shift, leaf, rights, pae, nxe)) {
      return { steps, mapped: false, reserved: true };
    }
    if (rights) {
      writable &&= (entry & ENTRY.RW) !== 0n;
      user &&= (entry & ENTRY.US) !== 0n;
      executable &&= !(nxe && entry & ENTRY.NX);
      accessed &&= (entry & ENTRY.A) !== 0n;
    }
    if (!leaf) {
      table = Number(entry & ADDRESS_FIELD);
      continue;
    }
    const pageSize = 2 ** shift;
    // PSE-36: bits 20 to 13 of a 4-MiB page's entry are bits 39 to 32 of its address.
    const high = pae || shift === 12 ? 0n : ((entry >> 13n) & 0xffn) << 32n;
    const base = Number(((entry & ADDRESS_FIELD) >> BigInt(shift)) << BigInt(shift) | high);
    return {
      steps,
      mapped: true,
      gpa: base + Number(BigInt.asUintN(shift, linear)),
      pageSize,
      writable,
      user,
      executable,
      global: (cr4 & BigInt(CR4.PGE)) !== 0n && (entry & ENTRY.G) !== 0n,
      dirty: (entry & ENTRY.D) !== 0n,
      accessed,
    };
  }
  throw new Error("The last level of a page-table walk is always a leaf");
}

function reservedBits(
  shift: number,
  leaf: boolean,
  rights: boolean,
  pae: boolean,
  nxe: boolean,
): bigint {
  // 32-bit paging: only bit 21 of a 4-MiB page, above PSE-36's forty address bits.
  if (!pae) return leaf && shift > 12 ? 1n << 21n : 0n;
  if (!rights) return RESERVED_PDPTE;
  let reserved = RESERVED_ADDRESS;
  if (!nxe) reserved |= ENTRY.NX;
  // A PML4 entry can't be a page; a large page's address is aligned, with PAT in bit 12.
  if (shift === 39) reserved |= ENTRY.PS;
  if (leaf && shift > 12) reserved |= (1n << BigInt(shift)) - (1n << 13n);
  return reserved;
}

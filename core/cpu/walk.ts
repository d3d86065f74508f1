// The guest's own page tables, walked without side effects: the MMU sets accessed and dirty bits by what comes out of
// here, monitors fill shadow tables from it. SDM vol. 3, chapter 4.
import { CR0, CR4, EFER } from "../base/registers.ts";

/** Bits of a physical address on this CPU; the rest of an entry's address field is reserved (CPUID 0x80000008). */
export const PHYSICAL_ADDRESS_BITS = 40;
/** Bits of a linear address on this CPU (CPUID 0x80000008): those of 5-level paging. */
export const LINEAR_ADDRESS_BITS = 57;
/** Bits of a linear address in 4-level paging, which is where CR4.LA57 is clear. */
export const FOUR_LEVEL_BITS = 48;

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
  /** Lowest bit of the linear address that indexes the table. */
  readonly shift: number;
  /** Entries in the table. */
  readonly entries: number;
  /** May PS make this entry a page? */
  readonly large: boolean;
  /** Does the entry carry R/W, U/S and NX? (PAE's page-directory pointers do not.) */
  readonly rights: boolean;
}

const level = (shift: number, large: boolean, rights = true, entries = 512): Level => ({
  shift,
  entries,
  large,
  rights,
});
const FOUR_LEVELS = [level(39, false), level(30, true), level(21, true), level(12, false)];
const FIVE_LEVELS = [level(48, false), ...FOUR_LEVELS];
const PAE_LEVELS = [level(30, false, false, 4), level(21, true), level(12, false)];
const TWO_LEVELS = [level(22, true, true, 1024), level(12, false, true, 1024)];
const TWO_LEVELS_NO_PSE = [level(22, false, true, 1024), level(12, false, true, 1024)];

const PAGING = BigInt(CR0.PG);
const PSE = BigInt(CR4.PSE), PAE = BigInt(CR4.PAE), PGE = BigInt(CR4.PGE);
const LA57 = BigInt(CR4.LA57);
const LMA = BigInt(EFER.LMA), NXE = BigInt(EFER.NXE);

// Entries are taken apart as two 32-bit numbers: this runs at every TLB miss, where BigInt arithmetic would dominate.
const P = 1, RW = 2, US = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100;
/** Of the upper half: NX, and the address bits that this CPU has (bits 32 to 39) and has not (40 to 51). */
const HIGH_NX = 0x8000_0000, HIGH_ADDRESS = 0xff, HIGH_RESERVED = 0xf_ff00;
/** A page-directory-pointer entry of PAE: bits 1-2, 5-8 and 52-63 too (SDM vol. 3, table 4-8). */
const PDPTE_RESERVED = { low: 0x1e6, high: 0xffff_ff00 };
/** 2^32: what the upper half of an address counts. */
const HIGH = 0x1_0000_0000;

/**
 * Is it an address of so many bits, the ones above equal to the topmost of them? What is translated, and where branches
 * lead, has the bits of the paging mode (`CpuState.linearBits`). Bases of segments and tables, and MSRs, take any that the
 * CPU has (`LINEAR_ADDRESS_BITS`), whatever CR4.LA57 says (5-Level Paging and 5-Level EPT, Intel 2017, 2.6).
 */
export function isCanonical(linear: bigint, bits: number): boolean {
  // By widths that V8 sees: of any other number of bits it makes a call.
  const extended = bits === FOUR_LEVEL_BITS
    ? BigInt.asIntN(FOUR_LEVEL_BITS, linear)
    : BigInt.asIntN(LINEAR_ADDRESS_BITS, linear);
  return BigInt.asUintN(64, extended) === BigInt.asUintN(64, linear);
}

/** Are the four pointers of PAE paging in use, which MOV CR3 loads and no walk reads (SDM vol. 3, 4.4.1)? */
export function usesPointers(cr0: bigint, cr4: bigint, efer: bigint): boolean {
  return (cr0 & PAGING) !== 0n && (cr4 & PAE) !== 0n && (efer & LMA) === 0n;
}

/**
 * Translates `linear` by the tables that CR3 names, in the mode that CR0, CR4 and EFER select. Checks presence and
 * reserved bits; rights are reported, not judged. With paging off every address maps to itself. In PAE mode the first
 * level is `pointers`, as they were loaded; without them, what memory has now.
 */
export function walkTables(
  cr0: bigint,
  cr3: bigint,
  cr4: bigint,
  efer: bigint,
  readPhysical: ReadEntry,
  linear: bigint,
  pointers?: readonly bigint[],
): Walk {
  if (!(cr0 & PAGING)) {
    const gpa = Number(BigInt.asUintN(32, linear));
    const all = { writable: true, user: true, executable: true, global: false };
    return { steps: [], mapped: true, gpa, pageSize: 4096, ...all, dirty: true, accessed: true };
  }
  const pae = (cr4 & PAE) !== 0n;
  const long = (efer & LMA) !== 0n;
  const nxe = pae && (efer & NXE) !== 0n;
  const levels = long
    ? cr4 & LA57 ? FIVE_LEVELS : FOUR_LEVELS
    : pae
    ? PAE_LEVELS
    : cr4 & PSE
    ? TWO_LEVELS
    : TWO_LEVELS_NO_PSE;
  const size = pae ? 8 : 4;
  const atLow = Number(BigInt.asUintN(32, linear)),
    atHigh = Number(BigInt.asUintN(32, linear >> 32n));

  const steps: WalkStep[] = [];
  const root = BigInt.asUintN(PHYSICAL_ADDRESS_BITS, cr3);
  let table = Number(pae && !long ? root & ~0x1fn : root & ~0xfffn);
  let writable = true, user = true, executable = true, accessed = true;
  for (const { shift, entries, large, rights } of levels) {
    const index = shift > 32
      ? atHigh >>> (shift - 32)
      : (atLow >>> shift) | (atHigh << (32 - shift));
    const address = table + (index & (entries - 1)) * size;
    const loaded = rights ? undefined : pointers?.[index & 3];
    const entry = loaded ?? readPhysical(address, size);
    steps.push({ address, size, entry });
    const low = Number(BigInt.asUintN(32, entry));
    const high = Number(entry >> 32n);
    if (!(low & P)) return { steps, mapped: false, reserved: false };
    const leaf = shift === 12 || (large && (low & PS) !== 0);
    if (hasReserved(low, high, shift, leaf, rights, pae, nxe)) {
      return { steps, mapped: false, reserved: true };
    }
    if (rights) {
      writable &&= (low & RW) !== 0;
      user &&= (low & US) !== 0;
      executable &&= (high & HIGH_NX) === 0;
      accessed &&= (low & A) !== 0;
    }
    const upper = (high & HIGH_ADDRESS) * HIGH;
    if (!leaf) {
      table = upper + ((low & ~0xfff) >>> 0);
      continue;
    }
    const pageSize = 2 ** shift;
    const inPage = pageSize - 1;
    // PSE-36: bits 20 to 13 of a 4-MiB page's entry are bits 39 to 32 of its address.
    const extension = pae || shift === 12 ? 0 : ((low >>> 13) & 0xff) * HIGH;
    return {
      steps,
      mapped: true,
      gpa: upper + extension + ((low & ~inPage) >>> 0) + (atLow & inPage),
      pageSize,
      writable,
      user,
      executable,
      global: (low & G) !== 0 && (cr4 & PGE) !== 0n,
      dirty: (low & D) !== 0,
      accessed,
    };
  }
  throw new Error("The last level of a page-table walk is always a leaf");
}

function hasReserved(
  low: number,
  high: number,
  shift: number,
  leaf: boolean,
  rights: boolean,
  pae: boolean,
  nxe: boolean,
): boolean {
  // 32-bit paging: only bit 21 of a 4-MiB page, above PSE-36's forty address bits.
  if (!pae) return leaf && shift > 12 && (low & (1 << 21)) !== 0;
  if (!rights) return (low & PDPTE_RESERVED.low) !== 0 || (high & PDPTE_RESERVED.high) !== 0;
  if (high & HIGH_RESERVED || (!nxe && high & HIGH_NX)) return true;
  // A PML4 or PML5 entry can't be a page; a large page's address is aligned, with PAT in bit 12.
  if (shift >= 39) return (low & PS) !== 0;
  return leaf && shift > 12 && (low & (2 ** shift - 2 ** 13)) !== 0;
}

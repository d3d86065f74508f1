// The memory management unit: rights, page faults, accessed and dirty bits over the guest's tables, or over the shadow
// tables that a monitor supplies. Engines fill their TLBs from `walk`.
import { CR0, CR4, EFER, RFLAGS, VECTOR } from "../base/registers.ts";
import type { AccessType, AddressSpace, Flush, PhysicalMemory } from "./cpu.ts";
import { GuestFault } from "./fault.ts";
import type { CpuState } from "./state.ts";
import { ENTRY, isCanonical, usesPointers, type Walk, walkTables } from "./walk.ts";

/** Bits of a page fault's error code (SDM vol. 3, figure 4-12). */
export const PAGE_FAULT = { P: 1, W: 2, U: 4, RSVD: 8, I: 16 } as const;

const WP = BigInt(CR0.WP);
const PAE = BigInt(CR4.PAE), SMEP = BigInt(CR4.SMEP), SMAP = BigInt(CR4.SMAP);
const FOUR_GIGABYTES = 0x1_0000_0000n;
const LMA = BigInt(EFER.LMA), NXE = BigInt(EFER.NXE);

/** One page of a monitor's shadow tables. */
export interface ShadowPage {
  /** Guest-physical page address. */
  readonly gpa: number;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
}

/** The monitor's shadow tables, by linear page address. */
export interface ShadowLookup {
  lookup(page: bigint): ShadowPage | undefined;
}

/** A translation that was granted, and what a TLB may keep of it for accesses of the same privilege. */
export interface Translation {
  /** Of the linear address itself, offset included. */
  readonly gpa: number;
  /** In bytes; a shadow page is 4096 whatever the guest's is. */
  readonly pageSize: number;
  /** May later writes skip the walk: permitted, and the dirty bit is set already? */
  readonly writable: boolean;
  /** May user mode read it? */
  readonly user: boolean;
  readonly executable: boolean;
  readonly global: boolean;
}

type Rights = Pick<Translation, "user" | "executable"> & { readonly writable: boolean };

/** What the tables said of a page, kept until `flush`. */
interface Kept extends Rights {
  /** Linear address divided by 4096. */
  readonly page: number;
  /** Guest-physical address of those 4 KiB. */
  readonly gpa: number;
  readonly pageSize: number;
  readonly dirty: boolean;
  readonly global: boolean;
  /** The context that it is of, unless it is global. */
  readonly pcid: number;
}
/** Pages kept, a power of two. */
const KEPT_PAGES = 64;
/** Where a page is kept. Code, data and stack often lie at round distances: with upper bits they do not evict each other. */
const slotOf = (page: number): number => (page ^ page >>> 6) & (KEPT_PAGES - 1);

/** Translation of linear addresses for one CPU. */
export class Mmu implements AddressSpace {
  readonly #state: CpuState;
  readonly #physical: PhysicalMemory;
  readonly #shadow: (() => ShadowLookup | undefined) | undefined;
  readonly #kept: (Kept | undefined)[] | undefined;
  readonly #readEntry = (address: number, size: 4 | 8): bigint =>
    readTableEntry(this.#physical, address, size);

  /**
   * With `shadow`, and as long as it returns tables, the guest's own are not looked at. With `cached`, what walks find is
   * kept as a TLB keeps it, and whoever made the MMU calls `flush` wherever the architecture drops translations.
   */
  constructor(
    state: CpuState,
    physical: PhysicalMemory,
    options: {
      readonly shadow?: () => ShadowLookup | undefined;
      readonly cached?: boolean;
    } = {},
  ) {
    this.#state = state;
    this.#physical = physical;
    this.#shadow = options.shadow;
    this.#kept = options.cached ? new Array(KEPT_PAGES).fill(undefined) : undefined;
  }

  /** Drops what was kept. A page goes with all of it, however large it is. */
  flush(flush: Flush): void {
    const kept = this.#kept;
    if (!kept || flush.of === "rights") return;
    if (flush.of === "everything") return void kept.fill(undefined);
    for (const [slot, entry] of kept.entries()) {
      if (entry && isFlushed(entry, flush)) kept[slot] = undefined;
    }
  }

  translate(linear: bigint, access: AccessType): number {
    return this.walk(linear, access).gpa;
  }

  /** Translates for one access, setting accessed and dirty bits; throws #PF, or #GP(0) for a non-canonical address. */
  walk(linear: bigint, access: AccessType): Translation {
    const state = this.#state;
    if (state.control("efer") & LMA && !isCanonical(linear, state.linearBits)) {
      throw new GuestFault(VECTOR.GP, 0);
    }
    const shadow = this.#shadow?.();
    if (shadow) return this.#walkShadow(shadow, linear, access);
    const writesAll = !access.user && !(state.control("cr0") & WP);
    const page = this.#kept ? pageNumber(linear) : 0;
    const kept = this.#kept?.[slotOf(page)];
    // A kept page that denies the access is walked again: the tables may have been made more generous since.
    if (
      kept?.page === page && (kept.dirty || !access.write) &&
      (kept.global || kept.pcid === state.pcid)
    ) {
      const { pageSize, user, executable, global } = kept;
      const writable = kept.writable || writesAll;
      if (this.#permits({ writable, user, executable }, access)) {
        const gpa = kept.gpa + Number(BigInt.asUintN(12, linear));
        return { gpa, pageSize, writable: writable && kept.dirty, user, executable, global };
      }
    }
    return this.#walkTables(linear, access, writesAll, page);
  }

  #walkTables(linear: bigint, access: AccessType, writesAll: boolean, page: number): Translation {
    const state = this.#state;
    const [cr0, cr4, efer] = [state.control("cr0"), state.control("cr4"), state.control("efer")];
    const found = walkTables(
      cr0,
      state.control("cr3"),
      cr4,
      efer,
      this.#readEntry,
      linear,
      state.pagePointers,
    );
    if (!found.mapped) {
      throw this.#fault(linear, access, found.reserved ? PAGE_FAULT.P | PAGE_FAULT.RSVD : 0);
    }
    const { pageSize, user, executable, global } = found;
    const gpa = gated(this.#physical, found.gpa);
    // With paging off, no right is missing and nothing is there to be marked.
    const writable = found.writable || writesAll;
    if (found.steps.length > 0) {
      if (!this.#permits({ writable, user, executable }, access)) {
        throw this.#fault(linear, access, PAGE_FAULT.P);
      }
      if (!found.accessed || (access.write && !found.dirty)) {
        // PAE's pointers have no accessed bit, and memory need not hold them any more.
        this.#mark(found, access.write, usesPointers(cr0, cr4, efer) ? 1 : 0);
      }
    }
    const dirty = found.dirty || access.write;
    if (this.#kept) {
      const start = gpa - gpa % 4096;
      const rights = { writable: found.writable, user, executable };
      this.#kept[slotOf(page)] = {
        page,
        gpa: start,
        pageSize,
        dirty,
        global,
        pcid: state.pcid,
        ...rights,
      };
    }
    return { gpa, pageSize, writable: writable && dirty, user, executable, global };
  }

  /** In shadow tables every write needs `writable`, as with CR0.WP set: that is how monitors protect page tables. */
  #walkShadow(shadow: ShadowLookup, linear: bigint, access: AccessType): Translation {
    const offset = Number(linear & 0xfffn);
    const page = shadow.lookup(BigInt.asUintN(64, linear) & ~0xfffn);
    if (!page) throw this.#fault(linear, access, 0);
    if (!this.#permits(page, access)) throw this.#fault(linear, access, PAGE_FAULT.P);
    const { writable, user, executable } = page;
    const gpa = gated(this.#physical, page.gpa);
    return { gpa: gpa + offset, pageSize: 4096, writable, user, executable, global: false };
  }

  /** SDM vol. 3, 4.6.1. */
  #permits(rights: Rights, access: AccessType): boolean {
    if (access.user && !rights.user) return false;
    if (access.write && !rights.writable) return false;
    if (access.execute && !rights.executable) return false;
    if (access.user || !rights.user) return true;
    const cr4 = this.#state.control("cr4");
    if (access.execute) return !(cr4 & SMEP);
    if (!(cr4 & SMAP)) return true;
    return !access.implicit && (this.#state.systemFlags & RFLAGS.AC) !== 0;
  }

  #fault(linear: bigint, access: AccessType, cause: number): GuestFault {
    const cr4 = this.#state.control("cr4");
    const nxe = (this.#state.control("efer") & NXE) !== 0n;
    // The I bit exists only where fetches can be told from reads.
    const fetches = (nxe && cr4 & PAE) || cr4 & SMEP;
    const code = cause |
      (access.write ? PAGE_FAULT.W : 0) |
      (access.user ? PAGE_FAULT.U : 0) |
      (access.execute && fetches ? PAGE_FAULT.I : 0);
    return new GuestFault(VECTOR.PF, code, BigInt.asUintN(64, linear));
  }

  /**
   * Sets A in every entry used, `first` and those after it, and D in the last for a write. Done only when the access is
   * granted: the manual lets a walk that faults mark what it went through, or not (SDM vol. 3, 4.8).
   */
  #mark({ steps }: Walk, write: boolean, first: number): void {
    for (const [i, { address, size, entry }] of steps.entries()) {
      if (i < first) continue;
      const last = i === steps.length - 1;
      const marked = entry | ENTRY.A | (last && write ? ENTRY.D : 0n);
      if (marked === entry) continue;
      const at = gated(this.#physical, address);
      if (this.#physical.isWritable(at, size)) this.#physical.write(at, size, marked);
    }
  }

  read(linear: bigint, size: number, access: Partial<AccessType> = {}): bigint {
    const type = this.#accessType(false, access);
    this.#observe(linear, size, type);
    if (fitsPage(linear, size)) return this.#readPhysical(this.translate(linear, type), size);
    let value = 0n;
    for (const [at, length, gpa] of this.#pieces(linear, size, type)) {
      value |= this.#readPhysical(gpa, length) << BigInt(8 * at);
    }
    return value;
  }

  write(linear: bigint, size: number, value: bigint, access: Partial<AccessType> = {}): void {
    const type = this.#accessType(true, access);
    this.#observe(linear, size, type);
    if (fitsPage(linear, size)) {
      return this.#writePhysical(this.translate(linear, type), size, value);
    }
    // Both pages are translated before anything is stored: a fault leaves memory as it was.
    for (const [at, length, gpa] of this.#pieces(linear, size, type)) {
      this.#writePhysical(gpa, length, value >> BigInt(8 * at));
    }
  }

  #accessType(write: boolean, access: Partial<AccessType>): AccessType {
    const user = access.user ?? this.#state.cpl === 3;
    return { write, execute: access.execute ?? false, user, implicit: access.implicit ?? false };
  }

  /** Alignment, which is checked before anything else about an access; and breakpoints on data. */
  #observe(linear: bigint, size: number, { write, user }: AccessType): void {
    const { breakpoints, checksAlignment } = this.#state;
    if (checksAlignment && user && isMisaligned(linear, size)) throw new GuestFault(VECTOR.AC, 0);
    if (breakpoints.watching) breakpoints.access(linear, size, write);
  }

  /**
   * Where the second part of an access that crosses a page begins. What is not canonical there is #GP(0) before any page is
   * looked at. Addresses of 16 and 32-bit code go round at 4 GiB, those of the CPU's own tables in long mode do not.
   */
  nextPage(linear: bigint, implicit = false): bigint {
    const state = this.#state;
    const next = (linear | 0xfffn) + 1n;
    if (!(state.control("efer") & LMA)) return BigInt.asUintN(32, next);
    if (next === FOUR_GIGABYTES && state.bitness !== 64 && !implicit) return 0n;
    if (!isCanonical(next, state.linearBits)) throw new GuestFault(VECTOR.GP, 0);
    return BigInt.asUintN(64, next);
  }

  /** The two parts of an access that crosses a page: offset in the value, bytes, guest-physical address. */
  #pieces(linear: bigint, size: number, access: AccessType): [number, number, number][] {
    const first = 4096 - Number(linear & 0xfffn);
    const second = this.nextPage(linear, access.implicit);
    return [
      [0, first, this.translate(linear, access)],
      [first, size - first, this.translate(second, access)],
    ];
  }

  #readPhysical(gpa: number, size: number): bigint {
    let value = 0n;
    for (let at = 0; at < size;) {
      const length = chunk(size - at);
      value |= this.#physical.read(gpa + at, length) << BigInt(8 * at);
      at += length;
    }
    return value;
  }

  #writePhysical(gpa: number, size: number, value: bigint): void {
    for (let at = 0; at < size;) {
      const length = chunk(size - at);
      const part = BigInt.asUintN(8 * length, value >> BigInt(8 * at));
      this.#physical.write(gpa + at, length, part);
      at += length;
    }
  }
}

/**
 * An entry of the page tables. The CPU walks no device memory: outside of RAM it finds all ones, as on an open bus. In wide
 * entries these are reserved bits.
 */
export function readTableEntry(physical: PhysicalMemory, address: number, size: 4 | 8): bigint {
  const at = gated(physical, address);
  return physical.isRam(at, size) ? physical.read(at, size) : BigInt.asUintN(8 * size, -1n);
}

/** What bit 20 of an address counts. */
const A20 = 2 ** 20;

/** The address that reaches the bus: without bit 20 where that line is closed. */
export function gated({ a20 }: { readonly a20: boolean }, address: number): number {
  return a20 || Math.floor(address / A20) % 2 === 0 ? address : address - A20;
}

function isFlushed(kept: Kept, flush: Flush): boolean {
  switch (flush.of) {
    case "everything":
      return true;
    case "contexts":
      return !kept.global;
    case "context":
      return !kept.global && kept.pcid === flush.pcid;
    case "page":
      return (kept.page === pageNumber(flush.linear) || kept.pageSize > 4096) &&
        (kept.global ? flush.global : kept.pcid === flush.pcid);
    case "rights":
      return false;
    default:
      return flush satisfies never;
  }
}

/** Does alignment checking refuse it? What is no power of two long counts as the next smaller one (SDM vol. 3, table 6-7). */
export function isMisaligned(linear: bigint, size: number): boolean {
  const aligned = size >= 16 ? 16 : chunk(size);
  return (Number(linear & 0xfn) & (aligned - 1)) !== 0;
}

/** A linear address divided by 4096: an integer below 2^52. */
function pageNumber(linear: bigint): number {
  return Number(BigInt.asUintN(64, linear) >> 12n);
}

function fitsPage(linear: bigint, size: number): boolean {
  return Number(linear & 0xfffn) + size <= 4096;
}

/** The largest power of two in `size` that physical memory moves at once. */
function chunk(size: number): 1 | 2 | 4 | 8 {
  return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

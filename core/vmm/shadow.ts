// Shadow paging: the MMU walks tables that the monitor keeps, derived page by page from the guest's own. Guest page tables
// that were walked are write-protected; a store to one (a trace) is emulated, and what was derived from the changed entry
// goes. Accessed and dirty bits are the monitor's to set. Used by `full-bt` always, by `full-hw/shadow` on VT-x's terms.
import { type Gpa, PAGE_SIZE } from "../base/address.ts";
import { CR0, CR4, EFER, RFLAGS, VECTOR } from "../base/registers.ts";
import { gated, PAGE_FAULT } from "../cpu/mmu.ts";
import { ENTRY, type Walk, walkTables } from "../cpu/walk.ts";
import type { Event, ShadowEntry, ShadowTables, Vcpu } from "../engine/vcpu.ts";
import type { MemoryAccess } from "../trace/exit.ts";
import { frameOf, MAX_SPACES, ShadowMap, type ShadowMapping } from "./shadow_map.ts";

/** What a page fault under shadow paging comes down to. */
export type Resolution =
  /** The shadow lacked a translation, or a right, that the guest's tables grant. */
  | Translated & { readonly is: "fill" }
  /** Both grant it. A fault all the same comes of a rule that only the CPU knows (implicit accesses under SMAP). */
  | Translated & { readonly is: "granted" }
  /** A store to a guest page table; `mapping` is read-only. */
  | Translated & { readonly is: "trace" }
  /** The guest's own tables refuse it. */
  | { readonly is: "guest"; readonly event: Event };

interface Translated {
  readonly address: bigint;
  /** Where the guest's tables lead. */
  readonly gpa: number;
  readonly access: MemoryAccess;
  readonly mapping: ShadowMapping;
  readonly walk: Walk;
}

/** An emulated instruction touches few pages; more faults than this in one go is a defect. */
const MAX_EMULATION_FAULTS = 64;

/** Bytes around the faulting one that one instruction may store to, in one page; a multiple of 8. */
const REACH = 512;

/** CR0, CR4 and EFER bits that change what a guest page table means. */
const CR0_PAGING = BigInt(CR0.PG) | BigInt(CR0.WP | CR0.PE);
const CR4_PAGING = BigInt(CR4.PSE | CR4.PAE | CR4.PGE | CR4.SMEP | CR4.SMAP | CR4.LA57);
const EFER_PAGING = BigInt(EFER.LMA | EFER.NXE);

/** Shadow tables of one vCPU. */
export class ShadowPaging implements ShadowTables {
  readonly #vcpu: Vcpu;
  readonly #map: ShadowMap;
  /** Those of all CPUs: what one of them has for a page table is one for all. */
  readonly #maps: readonly ShadowMap[];
  /** The root in use: where CR3 points, or -1 while paging is off. */
  #root = -1;
  #mode = "";
  /** PAE paging: the first level is of pointers, which have no accessed bit. */
  #pointers = false;
  /** By root: the pointers of PAE paging that were loaded with it. */
  readonly #loaded = new Map<number, string>();
  /** Page tables that may be written for the moment. */
  readonly #open: number[] = [];
  readonly #readEntry = (address: number, size: 4 | 8): bigint => {
    const at = gated(this.#vcpu, address);
    // Page tables outside RAM: an open bus, all ones, as the bare CPU finds.
    if (at + size > this.#vcpu.memory.size) return BigInt.asUintN(8 * size, -1n);
    return size === 8
      ? this.#vcpu.memory.readU64(at as Gpa)
      : BigInt(this.#vcpu.memory.readU32(at as Gpa));
  };

  /** `maps` are of the machine's other CPUs, and get this one's. */
  constructor(vcpu: Vcpu, maps: ShadowMap[] = []) {
    this.#vcpu = vcpu;
    this.#maps = maps;
    this.#map = new ShadowMap(({ root, page }) => {
      if (root === this.#root) vcpu.flush(page);
    });
    maps.push(this.#map);
  }

  /** Takes over translation; call when the guest's first control registers are set. */
  start(): void {
    this.sync();
    this.#vcpu.setShadow(this);
  }

  lookup(page: bigint): ShadowEntry | undefined {
    return this.#map.lookup(this.#root, page)?.entry;
  }

  /** Mappings in all; for tests and curiosity. */
  get size(): number {
    return this.#map.size;
  }

  /** Call after whatever may have changed CR0, CR3, CR4, EFER or A20: another root is another space, another mode a new start. */
  sync(): void {
    const cr0 = this.#vcpu.get("cr0");
    const cr4 = this.#vcpu.get("cr4");
    const efer = this.#vcpu.get("efer");
    const mode = `${this.#vcpu.a20},${cr0 & CR0_PAGING},${cr4 & CR4_PAGING},${efer & EFER_PAGING}`;
    const paging = (cr0 & BigInt(CR0.PG)) !== 0n;
    this.#pointers = paging && (cr4 & BigInt(CR4.PAE)) !== 0n && (efer & BigInt(EFER.LMA)) === 0n;
    // Below the table's address CR3 holds cache attributes or a PCID; of PAE's pointers, bits 11 to 5 of it.
    const mask = this.#pointers ? 0xffff_ffe0n : 0xf_ffff_ffff_f000n;
    const root = paging ? Number(this.#vcpu.get("cr3") & mask) : -1;
    // PAE's pointers are those that were loaded last: what hung on others of the same root is no longer true.
    const pointers = `${this.#vcpu.pagePointers ?? ""}`;
    const reloaded = (this.#loaded.get(root) ?? pointers) !== pointers;
    if (mode !== this.#mode || this.#loaded.size > MAX_SPACES) {
      this.#map.clear();
      this.#loaded.clear();
      this.#mode = mode;
    } else if (reloaded) {
      this.#map.dropSpace(root);
    } else if (root === this.#root) {
      return;
    }
    if (pointers !== "") this.#loaded.set(root, pointers);
    this.#root = root;
    this.#map.use(root);
    this.#vcpu.flush();
  }

  /** INVLPG: the guest says that this page's translation changed. Tables are kept coherent anyway; dropping is cheap. */
  invalidate(linear: bigint): void {
    const mapping = this.#map.lookup(this.#root, linear & ~0xfffn);
    if (mapping) this.#map.drop(mapping);
    else this.#vcpu.flush(linear & ~0xfffn);
  }

  /** What is behind a page fault that the shadow tables raised; changes nothing. */
  resolve(address: bigint, errorCode: number): Resolution {
    const write = (errorCode & PAGE_FAULT.W) !== 0;
    const user = (errorCode & PAGE_FAULT.U) !== 0;
    const execute = (errorCode & PAGE_FAULT.I) !== 0;
    const cr0 = this.#vcpu.get("cr0");
    const cr4 = this.#vcpu.get("cr4");
    const walk = walkTables(
      cr0,
      this.#vcpu.get("cr3"),
      cr4,
      this.#vcpu.get("efer"),
      this.#readEntry,
      address,
      this.#vcpu.pagePointers,
    );
    const refuse = (cause: number): Resolution => {
      const kept = errorCode & (PAGE_FAULT.W | PAGE_FAULT.U | PAGE_FAULT.I);
      const event: Event = {
        type: "exception",
        vector: VECTOR.PF,
        errorCode: kept | cause,
        address,
      };
      return { is: "guest", event };
    };
    if (!walk.mapped) return refuse(walk.reserved ? PAGE_FAULT.P | PAGE_FAULT.RSVD : 0);

    // With CR0.WP clear the kernel writes where its tables say read-only; user mode still may not, so it gets no such page.
    const overridden = write && !user && !walk.writable && (cr0 & BigInt(CR0.WP)) === 0n;
    const granted = (!user || walk.user) && (!execute || walk.executable) &&
      (!write || walk.writable || overridden);
    if (!granted || this.#supervisorRefused(walk.user, user, execute, cr4)) {
      return refuse(PAGE_FAULT.P);
    }

    const gpa = gated(this.#vcpu, walk.gpa);
    const frame = frameOf(gpa);
    // A table may map itself, and be protected by this very walk.
    const table = this.#maps.some((map) => map.isTable(frame)) ||
      walk.steps.some((step) => frameOf(gated(this.#vcpu, step.address)) === frame);
    const mapping: ShadowMapping = {
      root: this.#root,
      page: address & ~0xfffn,
      entry: {
        gpa: frame,
        // Read-only until the first write, so that the dirty bit can be set then.
        writable: !table && (overridden || (walk.writable && (write || walk.dirty))),
        user: walk.user && !overridden,
        executable: walk.executable,
      },
      links: walk.steps.map((step) => gated(this.#vcpu, step.address - step.address % 8)),
    };
    const access = write ? "write" : execute ? "execute" : "read";
    const translated = { address, gpa, access, mapping, walk } as const;
    if (write && table) return { is: "trace", ...translated };
    const present = this.lookup(mapping.page);
    if (present && covers(present, mapping.entry)) return { is: "granted", ...translated };
    return { is: "fill", ...translated };
  }

  /** SMEP and SMAP: the kernel may not execute, or not touch, what is the user's. */
  #supervisorRefused(userPage: boolean, user: boolean, execute: boolean, cr4: bigint): boolean {
    if (user || !userPage) return false;
    if (execute) return (cr4 & BigInt(CR4.SMEP)) !== 0n;
    return (cr4 & BigInt(CR4.SMAP)) !== 0n &&
      (this.#vcpu.get("rflags") & BigInt(RFLAGS.AC)) === 0n;
  }

  /** Puts a missing translation in, and sets the guest's accessed and dirty bits as the MMU would have. */
  fill({ mapping, walk, access }: Translated): void {
    for (const [i, { address, size, entry }] of walk.steps.entries()) {
      if (i === 0 && this.#pointers) continue;
      const last = i === walk.steps.length - 1;
      const marked = entry | ENTRY.A | (last && access === "write" ? ENTRY.D : 0n);
      if (marked === entry) continue;
      const at = gated(this.#vcpu, address) as Gpa;
      if (size === 8) this.#vcpu.memory.writeU64(at, marked);
      else this.#vcpu.memory.writeU32(at, Number(marked));
    }
    this.#map.add(mapping);
    for (const map of this.#maps) if (map !== this.#map) map.protect(mapping);
    this.#vcpu.flush(mapping.page);
  }

  /** Does the store at RIP that hit a page table; returns the guest's own fault, if it has one. */
  trace(resolution: Resolution & { is: "trace" }): Event | undefined {
    const { gpa, mapping } = resolution;
    const table = frameOf(gpa);
    if (!this.lookup(mapping.page)) this.fill(resolution);
    const wanted = this.#maps.some((map) => map.dependents(table) > 0);
    const from = gpa - gpa % 8 - Math.min(REACH, gpa - gpa % 8 - table);
    const length = Math.min(gpa + REACH, table + PAGE_SIZE) - from;
    const before = this.#vcpu.memory.read(from as Gpa, length);
    const event = this.#settled(() => this.#vcpu.emulateStore(gpa));
    const after = this.#vcpu.memory.read(from as Gpa, length);
    // Nothing depends on it, and yet it is written again: it is a page table no longer, or one being built anew.
    const changed = changedWords(from, before, after);
    for (const map of this.#maps) {
      if (!wanted) map.release(table);
      else for (const link of changed) map.entryChanged(link);
    }
    return event;
  }

  /** Makes a page table writable for a store that can't be emulated by itself, until {@linkcode protect}. */
  open(resolution: Resolution & { is: "trace" }): void {
    const { mapping } = resolution;
    const entry = { ...mapping.entry, writable: true };
    this.fill({ ...resolution, mapping: { ...mapping, entry } });
    this.#open.push(resolution.gpa);
  }

  /**
   * Makes a store possible that the monitor is about to do for the guest, be it to a page table; returns the guest's own
   * fault, if it has one. Call {@linkcode protect} when the store is done.
   */
  allow(address: bigint, user: boolean): Event | undefined {
    const resolution = this.resolve(address, PAGE_FAULT.W | (user ? PAGE_FAULT.U : 0));
    switch (resolution.is) {
      case "trace":
        this.open(resolution);
        return undefined;
      case "fill":
        this.fill(resolution);
        return undefined;
      case "guest":
        return resolution.event;
      case "granted":
        return undefined;
      default:
        return resolution satisfies never;
    }
  }

  /** Nothing is left of what was derived from a page table that has been open: it may have been written. */
  protect(): void {
    for (const gpa of this.#open.splice(0)) {
      for (const map of this.#maps) map.release(frameOf(gpa));
    }
  }

  /** Does the store at RIP, whatever it hits; returns the guest's own fault, if it has one. */
  store(resolution: Resolution): Event | undefined {
    switch (resolution.is) {
      case "trace":
        return this.trace(resolution);
      case "fill":
        this.fill(resolution);
        return this.#settled(() => this.#vcpu.emulateStore(resolution.gpa));
      case "granted":
        return this.#settled(() => this.#vcpu.emulateStore(resolution.gpa));
      case "guest":
        return resolution.event;
      default:
        return resolution satisfies never;
    }
  }

  /** Emulates the instruction at RIP, filling what it needs; returns the guest's own fault, if it has one. */
  emulate(): Event | undefined {
    const task = this.#vcpu.segment("tr").base;
    const event = this.#settled(() => this.#vcpu.emulate());
    // A task switch goes by the guest's own tables: a store to one of them was seen by nobody.
    if (this.#vcpu.segment("tr").base !== task) this.#map.clear();
    this.sync();
    return event;
  }

  /** Tries until it is done or the guest's own fault: what was missing on the way is put in. */
  #settled(attempt: () => Event | undefined): Event | undefined {
    try {
      return this.#tried(attempt);
    } finally {
      this.protect();
    }
  }

  #tried(attempt: () => Event | undefined): Event | undefined {
    for (let faults = 0; faults < MAX_EMULATION_FAULTS; faults++) {
      const event = attempt();
      if (event?.vector !== VECTOR.PF || event.address === undefined) return event;
      const resolution = this.resolve(event.address, event.errorCode ?? 0);
      switch (resolution.is) {
        case "guest":
          return resolution.event;
        case "granted":
          return event;
        case "fill":
          this.fill(resolution);
          break;
        case "trace":
          // Another page table than the one that the store is known to hit: a stack on one, say.
          this.open(resolution);
          break;
        default:
          return resolution satisfies never;
      }
    }
    throw new Error("Emulation faults without end under shadow paging");
  }
}

/** Does what is mapped grant all that the new entry would? */
function covers(present: ShadowEntry, wanted: ShadowEntry): boolean {
  return present.gpa === wanted.gpa && (present.writable || !wanted.writable) &&
    (present.user || !wanted.user) && (present.executable || !wanted.executable);
}

/** Addresses of the 8-byte words that differ. */
function changedWords(base: number, before: Uint8Array, after: Uint8Array): number[] {
  const words: number[] = [];
  for (let at = 0; at < before.length; at += 8) {
    for (let i = at; i < at + 8; i++) {
      if (before[i] !== after[i]) {
        words.push(base + at);
        break;
      }
    }
  }
  return words;
}

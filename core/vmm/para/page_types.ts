// Direct paging's safety: every frame has at most one type at a time (page table of a level, segment descriptors, or
// writable) and a count of the uses that need it. A frame that is a page table can't be mapped writable, nor a writable one
// be hooked in as a page table: so what the hardware walks has always been validated. As Xen's struct page_info does it.
import { type Gpa, PAGE_SHIFT, PAGE_SIZE } from "../../base/address.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { ERRNO, XEN_SLOTS } from "./abi.ts";
import { DISALLOWED, ENTRIES, ENTRY_SIZE, frameOf, PTE } from "./page_tables.ts";
import { invalid, Refused } from "./refused.ts";

/** What a frame is in use as. 1 to 4 are page tables of that level. */
export const FRAME_TYPE = {
  none: 0,
  l1: 1,
  l2: 2,
  l3: 3,
  l4: 4,
  writable: 5,
  descriptors: 6,
} as const;
export type FrameType = typeof FRAME_TYPE[keyof typeof FRAME_TYPE];
/** Level of a page table. */
export type Level = 1 | 2 | 3 | 4;

function isLevel(type: number): type is Level {
  return type >= 1 && type <= 4;
}

/** Hooks of whoever owns the tables. */
export interface PageTypeEvents {
  /** A frame became a page table: no stale translation may still let the guest write to it. */
  flush(): void;
  /** Puts Xen's own entries into a new top-level table. */
  adoptTopLevel(table: number): void;
  /** Checks a page of segment descriptors; throws `Refused`. */
  checkDescriptors(frame: number): void;
}

/** The types of all frames of one domain. Methods that can refuse throw {@linkcode Refused} and leave things as they were. */
export class PageTypes {
  readonly #memory: GuestMemory;
  readonly #events: PageTypeEvents;
  readonly #type: Uint8Array;
  readonly #uses: Uint32Array;
  readonly #pinned: Uint8Array;
  readonly #xen: Uint8Array;
  readonly frames: number;

  constructor(memory: GuestMemory, events: PageTypeEvents) {
    this.#memory = memory;
    this.#events = events;
    this.frames = memory.size >> PAGE_SHIFT;
    this.#type = new Uint8Array(this.frames);
    this.#uses = new Uint32Array(this.frames);
    this.#pinned = new Uint8Array(this.frames);
    this.#xen = new Uint8Array(this.frames);
  }

  /** What a frame is in use as; `none` when it isn't. */
  typeOf(frame: number): FrameType {
    return (this.#type[frame] ?? FRAME_TYPE.none) as FrameType;
  }

  /** How many uses keep its type. */
  uses(frame: number): number {
    return this.#uses[frame] ?? 0;
  }

  /** Takes a frame away from the domain: it holds what belongs to Xen. */
  reserve(frame: number): void {
    this.#xen[frame] = 1;
  }

  /** Is it RAM of the domain? */
  owned(frame: number): boolean {
    return frame >= 0 && frame < this.frames && this.#xen[frame] === 0;
  }

  /** Uses a frame as a type; validates it if nobody uses it as that yet. */
  get(frame: number, type: FrameType): void {
    if (!this.owned(frame)) throw invalid();
    if (this.uses(frame) > 0) {
      if (this.typeOf(frame) !== type) throw invalid();
      this.#uses[frame] = this.uses(frame) + 1;
      return;
    }
    // Set before validation, so that a table that leads back to itself finds its type taken.
    this.#type[frame] = type;
    this.#uses[frame] = 1;
    try {
      if (isLevel(type)) this.#validate(frame, type);
      else if (type === FRAME_TYPE.descriptors) this.#events.checkDescriptors(frame);
    } catch (refused) {
      this.#uses[frame] = 0;
      this.#type[frame] = FRAME_TYPE.none;
      throw refused;
    }
    if (type !== FRAME_TYPE.writable) this.#events.flush();
  }

  /** Ends a use. The last one releases all that a page table refers to. */
  put(frame: number): void {
    const uses = this.uses(frame);
    if (uses === 0) throw new Error(`Frame ${frame} is released more often than it is used`);
    this.#uses[frame] = uses - 1;
    if (uses > 1) return;
    const type = this.typeOf(frame);
    this.#type[frame] = FRAME_TYPE.none;
    if (isLevel(type)) this.#releaseTable(this.#table(frame), type);
  }

  /** Keeps a page table validated though nothing refers to it. */
  pin(frame: number, level: Level): void {
    if (this.#pinned[frame]) throw invalid();
    this.get(frame, level);
    this.#pinned[frame] = 1;
  }

  /** Takes the pin back; the table may be anything again when nothing else refers to it. */
  unpin(frame: number): void {
    if (!this.#pinned[frame]) throw invalid();
    this.#pinned[frame] = 0;
    this.put(frame);
  }

  /** Writes one entry of a page table, or one word of a frame that may be written (mmu_update). */
  update(address: number, value: bigint, preserveAccessedDirty = false): void {
    const frame = Math.floor(address / PAGE_SIZE);
    if (!this.owned(frame)) throw invalid();
    const type = this.typeOf(frame);
    if (!isLevel(type)) {
      if (type === FRAME_TYPE.descriptors) throw invalid();
      this.writeChecked(address, value);
      return;
    }
    if (!guestSlot(type, address % PAGE_SIZE / ENTRY_SIZE)) throw invalid();
    const old = this.#memory.readU64(address as Gpa);
    const kept = preserveAccessedDirty ? old & (PTE.A | PTE.D) : 0n;
    const entry = adjusted(value) | ((value & PTE.P) !== 0n ? kept : 0n);
    this.#take(type, entry);
    this.#memory.writeU64(address as Gpa, entry);
    this.#release(type, old);
  }

  /** Writes a word that is valid whatever its frame is in use as: of descriptors, or of a frame that may be written. */
  writeChecked(address: number, value: bigint): void {
    const frame = Math.floor(address / PAGE_SIZE);
    const { descriptors, writable } = FRAME_TYPE;
    this.get(frame, this.typeOf(frame) === descriptors ? descriptors : writable);
    this.#memory.writeU64(address as Gpa, value);
    this.put(frame);
  }

  /** A copy of a table's entries. */
  #table(frame: number): BigUint64Array {
    return new BigUint64Array(this.#memory.read(frame * PAGE_SIZE as Gpa, PAGE_SIZE).buffer);
  }

  #validate(frame: number, level: Level): void {
    const entries = this.#table(frame);
    let slot = 0;
    try {
      for (; slot < ENTRIES; slot++) {
        const entry = entries[slot] ?? 0n;
        if ((entry & PTE.P) === 0n || !guestSlot(level, slot)) continue;
        this.#take(level, entry);
        if (entry !== adjusted(entry)) {
          this.#memory.writeU64(frame * PAGE_SIZE + slot * ENTRY_SIZE as Gpa, adjusted(entry));
        }
      }
    } catch (refused) {
      this.#releaseTable(entries.subarray(0, slot), level);
      throw refused;
    }
    if (level === 4) this.#events.adoptTopLevel(frame * PAGE_SIZE);
  }

  #releaseTable(entries: BigUint64Array, level: Level): void {
    entries.forEach((entry, slot) => guestSlot(level, slot) && this.#release(level, entry));
  }

  /** An entry of a table of this level begins to refer to its frame. */
  #take(level: Level, entry: bigint): void {
    if ((entry & PTE.P) === 0n) return;
    if ((entry & DISALLOWED) !== 0n) throw invalid();
    const frame = frameOf(entry);
    if (level > 1) {
      if ((entry & PTE.PS) !== 0n) throw invalid();
      this.get(frame, level - 1 as Level);
      return;
    }
    // Frames that aren't the domain's: device memory and Xen's own.
    if (!this.owned(frame)) throw new Refused(ERRNO.EPERM);
    if ((entry & PTE.W) === 0n) return;
    if (this.uses(frame) > 0 && this.typeOf(frame) !== FRAME_TYPE.writable) {
      throw new Refused(ERRNO.EBUSY);
    }
    this.get(frame, FRAME_TYPE.writable);
  }

  #release(level: Level, entry: bigint): void {
    if ((entry & PTE.P) === 0n) return;
    if (level > 1 || (entry & PTE.W) !== 0n) this.put(frameOf(entry));
  }
}

/** Is this entry the guest's to use, or one of Xen's slots of a top-level table? */
function guestSlot(level: Level, slot: number): boolean {
  return level < 4 || slot < XEN_SLOTS.first || slot > XEN_SLOTS.last;
}

/** Present entries become accessible to CPL 3, where the guest's kernel runs. */
function adjusted(entry: bigint): bigint {
  return (entry & PTE.P) === 0n ? entry : entry | PTE.U;
}

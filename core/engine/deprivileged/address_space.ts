// The page tables that the CPU really uses: the guest's, but for the top-level table, which is a copy, and for the way from
// there to the GDT, behind which the window to the shim is. So the guest's tables stay as its kernel and the VMM have made
// them, and every address space has the shim.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { ENTRY } from "../../cpu/walk.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { PAGE, WINDOW } from "./shim.ts";

const ENTRIES = 512, ENTRY_SIZE = 8;
/** The page in an entry of a table, and in CR3 (SDM vol. 3, tables 4-12 and 4-20). */
const FRAME = 0x000f_ffff_ffff_f000n;
const TABLE = ENTRY.P | ENTRY.RW | ENTRY.A;
/** Supervisor only: CPL 3 neither reads nor calls the shim. */
const SHIM_PAGE = ENTRY.P | ENTRY.RW | ENTRY.A | ENTRY.D;
/** Bit of an entry's first byte. */
const ACCESSED = Number(ENTRY.A);

function slot(linear: bigint, level: number): number {
  return Number(linear >> BigInt(12 + 9 * (level - 1)) & BigInt(ENTRIES - 1));
}

/** The tables of one machine. */
export class AddressSpace {
  readonly #memory: GuestMemory;
  /** Guest-physical address of the shim's pages. */
  readonly #shim: number;
  readonly #window: bigint;
  #guest = 0n;
  #current: number = PAGE.top;
  #stale = true;
  /** The copy, as it was made last. */
  #made: Uint8Array = new Uint8Array(PAGE_SIZE);

  /** `window`: linear address of the GDT. */
  constructor(memory: GuestMemory, shim: number, window: bigint) {
    const last = Math.max(...WINDOW.map(([offset]) => offset));
    if (window % BigInt(PAGE_SIZE) !== 0n || slot(window, 1) + last >= ENTRIES) {
      throw new Error("The GDT of a deprivileged guest begins a page, with room behind it");
    }
    this.#memory = memory;
    this.#shim = shim;
    this.#window = window;
  }

  /** Uses the tables of this CR3. */
  use(cr3: bigint): void {
    this.#guest = cr3 & FRAME;
    this.#stale = true;
  }

  /** Translations that have been dropped or changed are not to be used any more. */
  flush(): void {
    this.#stale = true;
  }

  /** Brings the copy up to date, and tells the CR3 to run with: another one than before where translations are to be dropped. */
  enter(): bigint {
    if (this.#stale) {
      this.#stale = false;
      this.#current = this.#current === PAGE.top ? PAGE.otherTop : PAGE.top;
      this.#openWindow();
    }
    const made = this.#memory.read(Number(this.#guest) as Gpa, PAGE_SIZE);
    const entry = BigInt(this.#page(PAGE.level3)) | TABLE;
    new DataView(made.buffer).setBigUint64(slot(this.#window, 4) * ENTRY_SIZE, entry, true);
    this.#memory.write(this.#page(this.#current), made);
    this.#made = made;
    return BigInt(this.#page(this.#current));
  }

  /** Tells the guest's top-level table which of its entries the CPU has used since `enter`. */
  leave(): void {
    const used = this.#memory.read(this.#page(this.#current), PAGE_SIZE);
    const own = slot(this.#window, 4) * ENTRY_SIZE;
    for (let at = 0; at < PAGE_SIZE; at += ENTRY_SIZE) {
      const now = used[at] ?? 0;
      if (now === this.#made[at] || at === own) continue;
      this.#memory.write(Number(this.#guest) + at as Gpa, Uint8Array.of(now | ACCESSED));
    }
    this.#made = used;
  }

  #page(index: number): Gpa {
    return this.#shim + index * PAGE_SIZE as Gpa;
  }

  /** Copies the tables on the way to the GDT, and puts the window behind it. */
  #openWindow(): void {
    let from: bigint | undefined = this.#guest;
    from = this.#entry(from, 4);
    for (const [page, level] of [[PAGE.level3, 3], [PAGE.level2, 2], [PAGE.level1, 1]] as const) {
      const copy: Uint8Array = from === undefined
        ? new Uint8Array(PAGE_SIZE)
        : this.#memory.read(Number(from) as Gpa, PAGE_SIZE);
      const next: bigint | undefined = from === undefined ? undefined : this.#entry(from, level);
      const view = new DataView(copy.buffer);
      if (level > 1) {
        const below = this.#page(level === 3 ? PAGE.level2 : PAGE.level1);
        view.setBigUint64(slot(this.#window, level) * ENTRY_SIZE, BigInt(below) | TABLE, true);
      } else {
        for (const [offset, shown] of WINDOW) {
          const at = (slot(this.#window, 1) + offset) * ENTRY_SIZE;
          view.setBigUint64(at, BigInt(this.#page(shown)) | SHIM_PAGE, true);
        }
      }
      this.#memory.write(this.#page(page), copy);
      from = next;
    }
  }

  /** The table or page below, on the way to the window; none where it is missing, or not the guest's RAM. */
  #entry(table: bigint, level: number): bigint | undefined {
    const at = Number(table) + slot(this.#window, level) * ENTRY_SIZE;
    const entry = this.#memory.readU64(at as Gpa);
    const frame = entry & FRAME;
    const there = (entry & ENTRY.P) !== 0n && frame + BigInt(PAGE_SIZE) <= BigInt(this.#shim);
    return there ? frame : undefined;
  }
}

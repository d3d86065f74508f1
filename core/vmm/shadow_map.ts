// The shadow tables as a data structure: which linear pages are mapped in which address space, which guest page-table
// entries each mapping was derived from, and which frames hold guest page tables. Policy is in `shadow.ts`.
import { type Gpa, PAGE_SIZE } from "../base/address.ts";
import type { ShadowEntry } from "../engine/vcpu.ts";

/** One mapping: of a linear page in the address space with a certain root. */
export interface ShadowMapping {
  readonly root: number;
  readonly page: bigint;
  readonly entry: ShadowEntry;
  /** Guest-physical addresses of the page-table entries it came from, root first; aligned to 8. */
  readonly links: readonly number[];
}

/** Mappings kept in all; beyond it the shadow starts anew, so that a guest can't exhaust memory. */
export const MAX_MAPPINGS = 1 << 16;
/** Address spaces kept; the one used longest ago goes first. */
export const MAX_SPACES = 64;

const tableOf = (link: number): number => link - link % PAGE_SIZE;

/** Mappings, and the ways back to them. */
export class ShadowMap {
  /** By root, the one used last at the end; then by linear page. */
  readonly #spaces = new Map<number, Map<bigint, ShadowMapping>>();
  readonly #byLink = new Map<number, Set<ShadowMapping>>();
  readonly #byFrame = new Map<number, Set<ShadowMapping>>();
  /** Guest page tables that are write-protected, and how many mappings depend on each. */
  readonly #tables = new Map<number, number>();
  #size = 0;

  /** Told of every mapping that goes, so that cached translations can go too. */
  constructor(readonly dropped: (mapping: ShadowMapping) => void = () => {}) {}

  /** Mappings in all. */
  get size(): number {
    return this.#size;
  }

  lookup(root: number, page: bigint): ShadowMapping | undefined {
    return this.#spaces.get(root)?.get(page);
  }

  /** Is this frame a write-protected guest page table? */
  isTable(frame: number): boolean {
    return this.#tables.has(frame);
  }

  /** How many mappings depend on a table. */
  dependents(frame: number): number {
    return this.#tables.get(frame) ?? 0;
  }

  /** Marks a root as used last, and makes room for it. */
  use(root: number): void {
    const space = this.#spaces.get(root) ?? new Map<bigint, ShadowMapping>();
    this.#spaces.delete(root);
    this.#spaces.set(root, space);
    for (const [oldest, { size }] of this.#spaces) {
      if (this.#spaces.size <= MAX_SPACES) break;
      if (size > 0) this.dropSpace(oldest);
      this.#spaces.delete(oldest);
    }
  }

  /**
   * Adds a mapping, replacing that of the same page. Its page tables become write-protected: writable mappings of them
   * go, and come back read-only when they are next used.
   */
  add(mapping: ShadowMapping): void {
    if (this.#size >= MAX_MAPPINGS) this.clear();
    const { root, page, entry, links } = mapping;
    const replaced = this.lookup(root, page);
    if (replaced) this.drop(replaced);
    for (const table of new Set(links.map(tableOf))) {
      if (!this.#tables.has(table)) this.#protect(table);
      this.#tables.set(table, this.dependents(table) + 1);
    }
    for (const link of links) addTo(this.#byLink, link, mapping);
    addTo(this.#byFrame, entry.gpa, mapping);
    const space = this.#spaces.get(root);
    if (space) space.set(page, mapping);
    else this.#spaces.set(root, new Map([[page, mapping]]));
    this.#size++;
  }

  drop(mapping: ShadowMapping): void {
    const { root, page, entry, links } = mapping;
    const space = this.#spaces.get(root);
    if (space?.get(page) !== mapping) return;
    space.delete(page);
    this.#size--;
    for (const link of links) removeFrom(this.#byLink, link, mapping);
    removeFrom(this.#byFrame, entry.gpa, mapping);
    // A table stays protected when its last dependent goes: it is a page table still.
    for (const table of new Set(links.map(tableOf))) {
      this.#tables.set(table, this.dependents(table) - 1);
    }
    this.dropped(mapping);
  }

  /**
   * The guest changed the page-table entry in these 8 bytes: what was derived from it goes, and tables below it on which
   * nothing depends any more are tables no longer.
   */
  entryChanged(link: number): void {
    for (const mapping of [...this.#byLink.get(link) ?? []]) {
      this.drop(mapping);
      const below = mapping.links.slice(mapping.links.indexOf(link) + 1);
      for (const table of below.map(tableOf)) {
        if (this.dependents(table) === 0) this.#tables.delete(table);
      }
    }
  }

  /** Lets a table go: nothing is derived from it any more, and it may be written. */
  release(table: number): void {
    for (let link = table; link < table + PAGE_SIZE && this.dependents(table) > 0; link += 8) {
      this.entryChanged(link);
    }
    this.#tables.delete(table);
  }

  dropSpace(root: number): void {
    for (const mapping of [...this.#spaces.get(root)?.values() ?? []]) {
      this.drop(mapping);
      for (const table of mapping.links.map(tableOf)) {
        if (this.dependents(table) === 0) this.#tables.delete(table);
      }
    }
  }

  clear(): void {
    for (const root of [...this.#spaces.keys()]) this.dropSpace(root);
    this.#tables.clear();
  }

  /** Another CPU has found page tables: they are write-protected here too. */
  protect({ links }: Pick<ShadowMapping, "links">): void {
    for (const table of new Set(links.map(tableOf))) this.#protect(table);
  }

  #protect(table: number): void {
    for (const mapping of [...this.#byFrame.get(table) ?? []]) {
      if (mapping.entry.writable) this.drop(mapping);
    }
  }
}

function addTo<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set) set.add(value);
  else map.set(key, new Set([value]));
}

function removeFrom<K, V>(map: Map<K, Set<V>>, key: K, value: V): void {
  const set = map.get(key);
  if (set?.delete(value) && set.size === 0) map.delete(key);
}

/** The page of an address in guest-physical memory. */
export function frameOf(address: number): Gpa {
  return tableOf(address) as Gpa;
}

// The RAM pages that hold translated code, for all CPUs of a machine: such a page stays out of every write TLB, so that a
// store by any of them is seen, and what was translated from it goes on all of them.
import type { CodeCache, CodePlace } from "./code_cache.ts";
import type { Translation } from "./core.ts";

/** A page whose code has been written to this often is no longer worth regions: they would not live long. */
const RESTLESS = 8;

export class CodePages {
  /** By page number: which of its bytes were translated. */
  readonly #pages = new Map<number, Uint8Array>();
  /** How often translations of a page had to go. */
  readonly #drops = new Map<number, number>();
  readonly #caches: CodeCache[] = [];

  /** A CPU's regions are made from these pages. */
  join(cache: CodeCache): void {
    this.#caches.push(cache);
  }

  /** Marks the bytes that a translation was made from, and takes their pages out of the write TLBs. */
  protect(translation: Translation, place: CodePlace): void {
    let added = false;
    for (const { from, to } of translation.extent) {
      for (let offset = from; offset < to; offset++) {
        const gpa = gpaOf(place, offset);
        if (gpa === undefined) continue;
        const number = Math.floor(gpa / 4096);
        let page = this.#pages.get(number);
        if (!page) {
          this.#pages.set(number, page = new Uint8Array(4096));
          added = true;
        }
        page[gpa % 4096] = 1;
      }
    }
    if (added) { for (const { tlb } of this.#caches) tlb.flushWrites(); }
  }

  isRestless(gpa: number): boolean {
    return (this.#drops.get(Math.floor(gpa / 4096)) ?? 0) >= RESTLESS;
  }

  /** Has this page translated code? Then it stays out of the write TLBs. */
  isCode(gpa: number): boolean {
    return this.#pages.has(Math.floor(gpa / 4096));
  }

  /** Do these bytes, within one page, belong to translated code? */
  touchesCode(gpa: number, length: number): boolean {
    const page = this.#pages.get(Math.floor(gpa / 4096));
    if (!page) return false;
    const start = gpa % 4096;
    return page.subarray(start, start + length).includes(1);
  }

  /** Code in this range is about to change: translations of it go. */
  written(gpa: number, length: number): void {
    for (let at = gpa; at < gpa + length;) {
      const inPage = Math.min(4096 - at % 4096, gpa + length - at);
      if (this.touchesCode(at, inPage)) this.#drop(Math.floor(at / 4096));
      at += inPage;
    }
  }

  #drop(number: number): void {
    this.#pages.delete(number);
    this.#drops.set(number, (this.#drops.get(number) ?? 0) + 1);
    for (const cache of this.#caches) cache.drop(number);
  }

  /** Every region goes: a site is to be translated otherwise, or there are too many. */
  clear(): void {
    for (const cache of this.#caches) cache.dropAll();
    this.#pages.clear();
  }
}

function gpaOf({ gpa, nextGpa }: CodePlace, offset: number): number | undefined {
  const first = 4096 - gpa % 4096;
  if (offset < first) return gpa + offset;
  return nextGpa === undefined ? undefined : nextGpa + offset - first;
}

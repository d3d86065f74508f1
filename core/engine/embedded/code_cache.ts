// Which region stands where for one virtual CPU, and what has to go when code or translations change.
import type { CodeWindow } from "../../cpu/translate/region.ts";
import type { Mode } from "../../cpu/translate/translation.ts";
import type { Core, Translation } from "./core.ts";
import type { Tlb } from "./tlb.ts";

/** Where code is: the window's bytes and the guest-physical pages they come from. */
export interface CodePlace extends CodeWindow {
  /** Guest-physical address of the first byte, and of the next page where the first instruction straddles it. */
  readonly gpa: number;
  readonly nextGpa?: number | undefined;
}

interface Region {
  /** Undefined: the instruction at its start is not translated. */
  readonly translation: Translation | undefined;
  readonly gpa: number;
  readonly nextGpa: number | undefined;
  /** The generation of translations in which its pages were last looked up. */
  checked: number;
}

/** As a limit: one instruction, also where regions stop. */
export const ALONE = -1;

/** Regions of one mode. */
export class Context {
  /** By the limit of instructions under which they were made (0: none), then by RIP. */
  readonly #regions = new Map<number, Map<bigint, Region>>();

  constructor(readonly mode: Mode) {}

  regions(limit: number): Map<bigint, Region> {
    let regions = this.#regions.get(limit);
    if (!regions) this.#regions.set(limit, regions = new Map());
    return regions;
  }

  all(): Iterable<Map<bigint, Region>> {
    return this.#regions.values();
  }
}

/** A RAM page with code: which bytes were translated. */
class CodePage {
  readonly bytes = new Uint8Array(4096);
}

/** A page whose code has been written to this often is no longer worth regions: they would not live long. */
const RESTLESS = 8;

export class CodeCache {
  readonly #contexts = new Map<string, Context>();
  readonly #pages = new Map<number, CodePage>();
  /** How often translations of a page had to go. */
  readonly #drops = new Map<number, number>();
  #generation = 0;

  constructor(readonly core: Core, readonly tlb: Tlb) {}

  /** The context of a mode. `key` tells modes apart. */
  context(key: string, mode: () => Mode): Context {
    let context = this.#contexts.get(key);
    if (!context) this.#contexts.set(key, context = new Context(mode()));
    return context;
  }

  /** Linear addresses may lead elsewhere now. */
  translationsChanged(): void {
    this.#generation++;
    this.tlb.flushJumps();
  }

  /**
   * The region that starts at `rip`, of at most `limit` instructions if that is given; undefined when its first instruction
   * is not translated. `place` tells where the code is, if that has to be known.
   */
  region(
    context: Context,
    rip: bigint,
    stops: ReadonlySet<bigint>,
    place: () => CodePlace,
    limit?: number,
  ): Translation | undefined {
    const regions = context.regions(limit ?? 0);
    const known = regions.get(rip);
    if (known && known.checked === this.#generation) return known.translation;
    const at = place();
    if (known && known.gpa === at.gpa && known.nextGpa === at.nextGpa) {
      known.checked = this.#generation;
      return known.translation;
    }
    if (this.core.isFull) {
      this.clear();
      this.core.clear();
    }
    const bound = limit === ALONE || this.#isRestless(at.gpa) ? 1 : limit;
    const translation = this.core.translate(at, context.mode, bound, stops);
    if (translation) this.#protect(translation, at);
    regions.set(rip, { translation, gpa: at.gpa, nextGpa: at.nextGpa, checked: this.#generation });
    return translation;
  }

  /** Marks the bytes that a translation was made from, and takes their pages out of the write TLB. */
  #protect(translation: Translation, place: CodePlace): void {
    let added = false;
    for (const { from, to } of translation.extent) {
      for (let offset = from; offset < to; offset++) {
        const gpa = this.#gpaOf(place, offset);
        if (gpa === undefined) continue;
        const number = Math.floor(gpa / 4096);
        let page = this.#pages.get(number);
        if (!page) {
          this.#pages.set(number, page = new CodePage());
          added = true;
        }
        page.bytes[gpa % 4096] = 1;
      }
    }
    if (added) this.tlb.flushWrites();
  }

  #gpaOf({ gpa, nextGpa }: CodePlace, offset: number): number | undefined {
    const first = 4096 - gpa % 4096;
    if (offset < first) return gpa + offset;
    return nextGpa === undefined ? undefined : nextGpa + offset - first;
  }

  #isRestless(gpa: number): boolean {
    return (this.#drops.get(Math.floor(gpa / 4096)) ?? 0) >= RESTLESS;
  }

  /** Has this page translated code? Then it stays out of the write TLB. */
  isCode(gpa: number): boolean {
    return this.#pages.has(Math.floor(gpa / 4096));
  }

  /** Do these bytes, within one page, belong to translated code? */
  touchesCode(gpa: number, length: number): boolean {
    const page = this.#pages.get(Math.floor(gpa / 4096));
    if (!page) return false;
    const start = gpa % 4096;
    return page.bytes.subarray(start, start + length).includes(1);
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
    const inPage = (gpa: number | undefined) =>
      gpa !== undefined && Math.floor(gpa / 4096) === number;
    for (const context of this.#contexts.values()) {
      for (const regions of context.all()) {
        for (const [rip, region] of regions) {
          if (inPage(region.gpa) || inPage(region.nextGpa)) regions.delete(rip);
        }
      }
    }
    this.tlb.flushJumps();
  }

  /** Every region goes: a site is to be translated otherwise, or there are too many. */
  clear(): void {
    for (const context of this.#contexts.values()) {
      for (const regions of context.all()) regions.clear();
    }
    this.#pages.clear();
    this.tlb.flushJumps();
  }
}

// Which region stands where for one virtual CPU, and what has to go when translations or code change.
import type { CodeWindow } from "../../cpu/translate/region.ts";
import type { Mode } from "../../cpu/translate/translation.ts";
import type { CodePages } from "./code_pages.ts";
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

/** Contexts kept: a guest may have code in any number of segments. Translations outlive them. */
const MAX_CONTEXTS = 256;

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

export class CodeCache {
  readonly #contexts = new Map<string, Context>();
  #generation = 0;

  /** `pages` are the machine's: its CPUs translate the same memory. */
  constructor(readonly core: Core, readonly tlb: Tlb, readonly pages: CodePages) {
    pages.join(this);
  }

  /** The context of a mode, for use until the next one is asked for. `key` tells modes apart. */
  context(key: string, mode: () => Mode): Context {
    const known = this.#contexts.get(key);
    if (known) return known;
    if (this.#contexts.size >= MAX_CONTEXTS) this.#contexts.clear();
    const context = new Context(mode());
    this.#contexts.set(key, context);
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
      this.pages.clear();
      this.core.clear();
    }
    const bound = limit === ALONE || this.pages.isRestless(at.gpa) ? 1 : limit;
    const translation = this.core.translate(at, context.mode, bound, stops);
    if (translation) this.pages.protect(translation, at);
    regions.set(rip, { translation, gpa: at.gpa, nextGpa: at.nextGpa, checked: this.#generation });
    return translation;
  }

  /** Regions of a page go: its code is about to change. */
  drop(page: number): void {
    const inPage = (gpa: number | undefined) =>
      gpa !== undefined && Math.floor(gpa / 4096) === page;
    for (const context of this.#contexts.values()) {
      for (const regions of context.all()) {
        for (const [rip, region] of regions) {
          if (inPage(region.gpa) || inPage(region.nextGpa)) regions.delete(rip);
        }
      }
    }
    this.tlb.flushJumps();
  }

  /** Every region goes. */
  dropAll(): void {
    for (const context of this.#contexts.values()) {
      for (const regions of context.all()) regions.clear();
    }
    this.tlb.flushJumps();
  }
}

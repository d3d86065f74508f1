// What outlives one virtual CPU: the WebAssembly memory, the table of regions, and every translation made so far. A suite
// runs many small guests, and most of them share code; so cores are pooled and their translations kept.
import {
  arithmetic,
  type ImportName,
  instantiateRuntime,
  type Runtime,
} from "../../cpu/translate/runtime.ts";
import { type CodeWindow, freePlan, planRegion } from "../../cpu/translate/region.ts";
import { translateRegion } from "../../cpu/translate/translate.ts";
import { commonKey, type Mode } from "../../cpu/translate/translation.ts";
import { RAM } from "../../cpu/layout.ts";

/** What regions call in TypeScript: done by the virtual CPU that has the core. */
export interface SlowPaths {
  /** To `size`, `THROUGH_STACK` may be added, here and in `write`. */
  read(linear: bigint, size: number, intent: number): bigint;
  write(linear: bigint, value: bigint, size: number): void;
  check(segment: number, offset: bigint, size: number, write: number): void;
  raise(vector: number): void;
  simd(mnemonic: number, immediate: number): void;
  divide(upper: bigint, lower: bigint, divisor: bigint, signed: number): void;
  x87(code: number, i: number): number;
}

/** A region's code, tied to no virtual CPU. */
export interface Translation {
  readonly run: () => number;
  /** RIP of its first instruction. */
  readonly start: bigint;
  /** Its place in the core's table. */
  readonly slot: number;
  /** The code that it was made from: offsets from its first byte, and what stood there. */
  readonly extent: readonly { readonly from: number; readonly to: number }[];
  readonly code: Uint8Array;
  /** Segments that it depends on, and the kinds that all had when it was made. */
  readonly segments: readonly number[];
  readonly kinds: string;
}

const WASM_PAGE = 65536;
/** Translations kept a core: about 11 KB each. */
const MAX_TRANSLATIONS = 8192;
/** Versions of the code at one address that are kept: guests of different cases, and code that changes itself. */
const MAX_VERSIONS = 16;
/** Cores kept for the next virtual CPU, by size of memory. */
const MAX_POOLED = 4;

/** One memory with its translations. */
export class Core {
  readonly memory: WebAssembly.Memory;
  readonly buffer: ArrayBuffer;
  readonly table = new WebAssembly.Table({ initial: 256, element: "anyfunc" });
  readonly runtime: Runtime;
  readonly ram: Uint8Array;
  readonly #imports: WebAssembly.ModuleImports;
  /** By their place in the table. */
  readonly #translations: Translation[] = [];
  readonly #known = new Map<string, Translation[]>();
  #count = 0;
  #owner: SlowPaths | undefined;

  constructor(readonly pages: number, readonly ramBytes: number) {
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { buffer } = this.memory;
    if (!(buffer instanceof ArrayBuffer)) throw new Error("The memory is shared");
    this.buffer = buffer;
    this.ram = new Uint8Array(buffer, RAM, ramBytes);
    this.runtime = instantiateRuntime(this.memory, this.table);
    const functions: Record<ImportName, CallableFunction> = {
      get flags() {
        return arithmetic().flags;
      },
      get multiplyHighUnsigned() {
        return arithmetic().multiplyHighUnsigned;
      },
      get multiplyHighSigned() {
        return arithmetic().multiplyHighSigned;
      },
      read: (linear: bigint, size: number, intent: number) =>
        this.#slow.read(BigInt.asUintN(64, linear), size, intent),
      write: (linear: bigint, value: bigint, size: number) =>
        this.#slow.write(BigInt.asUintN(64, linear), BigInt.asUintN(64, value), size),
      check: (segment: number, offset: bigint, size: number, write: number) =>
        this.#slow.check(segment, offset, size, write),
      raise: (vector: number) => this.#slow.raise(vector),
      simd: (mnemonic: number, immediate: number) => this.#slow.simd(mnemonic, immediate),
      x87: (code: number, i: number) => this.#slow.x87(code, i),
      divide: (upper: bigint, lower: bigint, divisor: bigint, signed: number) =>
        this.#slow.divide(upper, lower, divisor, signed),
    };
    this.#imports = Object.assign(functions, { memory: this.memory });
  }

  get #slow(): SlowPaths {
    if (!this.#owner) throw new Error("A region runs on a core that nobody owns");
    return this.#owner;
  }

  /** Who does the slow paths of the regions that run from now on. */
  own(owner: SlowPaths): void {
    this.#owner = owner;
  }

  /**
   * The translation of the code in the window, made now or before; undefined when its first instruction is not translated.
   * `stops` are not translated either. `limit` bounds the number of instructions.
   */
  translate(
    window: CodeWindow,
    mode: Mode,
    limit: number | undefined,
    stops: ReadonlySet<bigint>,
  ): Translation | undefined {
    const key = [
      commonKey(mode),
      limit,
      window.start,
      window.bytes.length,
    ].join();
    const reusable = stops.size === 0;
    const known = reusable
      ? this.#known.get(key)?.find((t) => isSame(t, window.bytes) && suits(t, mode))
      : undefined;
    if (known) return known;
    const plan = planRegion(window, { mode, limit, stops });
    let region;
    try {
      if (plan.instructions === 0) return undefined;
      region = translateRegion(plan, mode);
    } finally {
      freePlan(plan);
    }
    const end = plan.extent.reduce((max, { to }) => Math.max(max, to), 0);
    const translation: Translation = {
      start: window.start,
      ...this.#instantiate(region.bytes),
      extent: plan.extent,
      segments: region.segments,
      kinds: mode.segments,
      code: window.bytes.slice(0, end),
    };
    this.#translations[translation.slot] = translation;
    if (reusable) {
      this.#known.set(key, [
        translation,
        ...(this.#known.get(key) ?? []).slice(0, MAX_VERSIONS - 1),
      ]);
    }
    return translation;
  }

  #instantiate(bytes: Uint8Array<ArrayBuffer>): { run: () => number; slot: number } {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { e: this.#imports });
    const run = instance.exports["region"] as () => number;
    const slot = this.#count++;
    if (slot === this.table.length) this.table.grow(slot);
    this.table.set(slot, run);
    return { run, slot };
  }

  /** The translation at a place in the table. */
  at(slot: number): Translation | undefined {
    return this.#translations[slot];
  }

  /** Are there as many translations as are kept? Then they all go, so that a guest can't fill memory with its code. */
  get isFull(): boolean {
    return this.#count >= MAX_TRANSLATIONS;
  }

  /** Forgets all translations. Nobody may use one afterwards. */
  clear(): void {
    this.#known.clear();
    this.#translations.length = 0;
    for (let slot = 0; slot < this.#count; slot++) this.table.set(slot, null);
    this.#count = 0;
  }
}

/** Is the code of a translation what stands in the window? Only what was translated counts: data between may differ. */
function isSame(translation: Translation, bytes: Uint8Array): boolean {
  for (const { from, to } of translation.extent) {
    if (to > bytes.length) return false;
    for (let i = from; i < to; i++) if (translation.code[i] !== bytes[i]) return false;
  }
  return true;
}

/** Are the segments that it uses of the kinds that it was made for? */
function suits({ segments, kinds }: Translation, mode: Mode): boolean {
  return segments.every((index) => kinds[index] === mode.segments[index]);
}

const pool: Core[] = [];

/** A core with zeroed state and RAM. */
export function takeCore(ramBytes: number): Core {
  const pages = Math.ceil((RAM + ramBytes) / WASM_PAGE);
  const index = pool.findIndex((core) => core.pages === pages && core.ramBytes === ramBytes);
  const core = index < 0 ? undefined : pool.splice(index, 1)[0];
  if (!core) return new Core(pages, ramBytes);
  new Uint8Array(core.buffer).fill(0);
  return core;
}

/** Keeps a core for the next one who wants its size. */
export function giveCore(core: Core): void {
  pool.push(core);
  if (pool.length > MAX_POOLED) pool.shift();
}

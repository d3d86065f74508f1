// Lays a program out: pass after pass over its items, each with the addresses that the one before found, until no
// address moves any more. Branches and immediates start short and grow where they must.
import type { LineEntry } from "../image.ts";
import { instructionBytes } from "./instruction.ts";
import { dataBytes } from "./data.ts";
import { evaluate, reportUndefined, type Scope } from "./evaluate.ts";
import { type Item, siteSpan } from "./program.ts";
import { Abandon, GiveUp, Reporter } from "./reporter.ts";
import { type Section, Sections } from "./section.ts";
import type { Token } from "./token.ts";
import { sameValue, UNKNOWN, type Value } from "./value.ts";

/** Most bytes a program can have. */
export const MAX_OUTPUT = 16 * 1024 * 1024;
/** From this pass on, an instruction that changes its length is kept long: lengths can no longer swing for ever. */
const GROW_ONLY_AFTER = 8;
const MAX_PASSES = 64;
const MAX_ERRORS_A_PASS = 1000;
/** Items encoded, over all passes: bounds the time that `times` can cost. */
const MAX_WORK = 500_000;

export interface LaidOut {
  readonly bytes: Uint8Array;
  readonly origin: number;
  readonly end: number;
  readonly symbols: ReadonlyMap<string, Value>;
  readonly lines: readonly LineEntry[];
}

interface ItemState {
  length: number;
  noShort: boolean;
  /** Bytes of an item that never change. */
  bytes: Uint8Array | undefined;
}

/** Lays `items` out from `origin`; what is wrong with them goes to `reporter`. */
export function layOut(
  items: readonly Item[],
  origin: number,
  reporter: Reporter,
): LaidOut | undefined {
  const layout = new Layout(items, origin);
  return layout.run(reporter);
}

class Layout implements Scope {
  reporter = new Reporter();
  /** `$`: the address of the line, which `times` does not move. */
  here: Value = UNKNOWN;
  section: Value = UNKNOWN;
  readonly #symbols = new Map<string, Value>();
  readonly #states: ItemState[];
  readonly #sections = new Sections();
  #origin: number;
  #pass = 0;
  #changed = false;
  /** The last definition that came out differently from the pass before. */
  #restless: Token | undefined;
  #unknown = false;
  #work = 0;
  #lines: { section: Section; offset: number; length: number; item: Item }[] = [];

  constructor(readonly items: readonly Item[], origin: number) {
    this.#origin = origin;
    this.#states = items.map(() => ({ length: -1, noShort: false, bytes: undefined }));
  }

  run(reporter: Reporter): LaidOut | undefined {
    do {
      if (++this.#pass > MAX_PASSES) {
        const at = this.#restless ?? this.items[0]?.first;
        if (at && this.reporter.errors === 0) {
          this.reporter.error("Addresses never settle: this one depends on itself", at);
        }
        break;
      }
      // What is wrong now may be right in the next pass: only the last one is believed, and none is cut short early.
      this.reporter = new Reporter(MAX_ERRORS_A_PASS);
      try {
        this.#runPass();
      } catch (error) {
        if (!(error instanceof GiveUp)) throw error;
        break;
      }
    } while (this.#changed || (this.#pass === 1 && this.#unknown));
    reporter.site = undefined;
    for (const d of this.reporter.diagnostics) {
      if (d.span) reporter.at(d.severity, d.message, d.span, d.suggestion);
    }
    return reporter.errors > 0 ? undefined : this.#result();
  }

  lookup(name: string, at: Token): Value {
    const value = this.#symbols.get(name);
    if (value === undefined) {
      if (this.#pass === 1) this.#unknown = true;
      else reportUndefined(name, at, [...this.#symbols.keys()], this.reporter);
      return UNKNOWN;
    }
    if (value.unknown) this.#unknown = true;
    return value;
  }

  #runPass(): void {
    this.#changed = false;
    this.#unknown = false;
    this.#lines = [];
    if (this.#sections.place(this.#origin)) this.#changed = true;
    this.#sections.rewind();
    this.#refresh();
    for (let i = 0; i < this.items.length; i++) {
      const item = this.items[i];
      const state = this.#states[i];
      if (!item || !state) continue;
      this.reporter.site = item.site;
      const offset = this.#current.size;
      try {
        this.#place(item, state);
      } catch (error) {
        if (!(error instanceof Abandon)) throw error;
        // What fails now may succeed once addresses have moved: it keeps the room it had.
        this.#current.reserve(Math.max(0, offset + state.length - this.#current.size));
      }
    }
  }

  /** Sees to it that `$` and `$$` are those of the current section. */
  #refresh(): void {
    this.section = this.#sections.address(0);
    this.here = this.#sections.address(this.#current.size);
  }

  get #current(): Section {
    return this.#sections.current;
  }

  #set(name: string, value: Value, at: Token): void {
    const before = this.#symbols.get(name);
    if (!before || !sameValue(before, value)) {
      this.#changed = true;
      this.#restless = at;
    }
    this.#symbols.set(name, value);
  }

  #place(item: Item, state: ItemState): void {
    this.here = this.#sections.address(this.#current.size);
    switch (item.is) {
      case "label":
        this.#set(item.name, this.here, item.first);
        return;
      case "equ":
        this.#set(item.name, evaluate(item.value, this), item.first);
        return;
      case "org":
        this.#setOrigin(item);
        return;
      case "section":
        this.#enterSection(item);
        return;
      default: {
        const offset = this.#current.size;
        this.#emit(item, state);
        const length = this.#current.size - offset;
        if (length > 0) this.#lines.push({ section: this.#current, offset, length, item });
      }
    }
  }

  #setOrigin(item: Item & { is: "org" }): void {
    const value = evaluate(item.origin, this);
    if (this.#current.size > 0) {
      this.reporter.fail('"org" must come before any code', item.first);
    }
    if (value.n < 0n || value.n > 0xffffffffn) {
      this.reporter.fail("A program starts below 4 GiB", item.first);
    }
    if (Number(value.n) !== this.#origin) {
      this.#origin = Number(value.n);
      this.#changed = true;
      this.#sections.place(this.#origin);
      this.#refresh();
    }
  }

  #enterSection(item: Item & { is: "section" }): void {
    if (this.#sections.enter(item.name)) this.#changed = true;
    if (item.align) {
      const alignment = this.#powerOfTwo(evaluate(item.align, this), item.first);
      this.#current.alignment = Number(alignment);
    }
    this.#refresh();
  }

  #emit(item: Item, state: ItemState): void {
    switch (item.is) {
      case "instruction":
      case "data":
        this.#append(this.#bytesOf(item, state), item);
        return;
      case "reserve": {
        const count = this.#count(evaluate(item.count, this), item.first);
        this.#room(count * item.width, item);
        this.#current.reserve(count * item.width);
        return;
      }
      case "align":
        this.#align(item, state);
        return;
      case "times": {
        const count = this.#count(evaluate(item.count, this), item.first);
        this.#repeat(item.item, count, state);
        return;
      }
      default:
        this.reporter.fail("This can't be repeated", item.first);
    }
  }

  #bytesOf(item: Item & { is: "instruction" | "data" }, state: ItemState): Uint8Array {
    if (state.bytes) return state.bytes;
    if (++this.#work > MAX_WORK) {
      this.reporter.giveUp("The program is too large to assemble", item.first);
    }
    // Bytes are kept only where they came without a warning: the next pass must find it again.
    const found = this.reporter.count;
    if (item.is === "data") {
      const bytes = dataBytes(item, this);
      if (item.fixed && this.reporter.count === found) state.bytes = bytes;
      return bytes;
    }
    const position = this.#sections.address(this.#current.size);
    let bytes = instructionBytes(item, this, position, state.noShort);
    if (this.#pass > GROW_ONLY_AFTER && state.length !== -1 && bytes.length !== state.length) {
      state.noShort = true;
      bytes = instructionBytes(item, this, position, true);
    }
    state.length = bytes.length;
    if (item.fixed && this.reporter.count === found) state.bytes = bytes;
    return bytes;
  }

  #repeat(item: Item, count: number, state: ItemState): void {
    if ((item.is === "instruction" || item.is === "data") && item.fixed) {
      const bytes = this.#bytesOf(item, state);
      this.#room(bytes.length * count, item);
      this.#current.fill(bytes, count);
      return;
    }
    for (let i = 0; i < count; i++) {
      if (++this.#work > MAX_WORK) {
        this.reporter.giveUp("The program is too large to assemble", item.first);
      }
      this.#emit(item, state);
    }
  }

  /** NASM aligns within the section, not in memory; the section is aligned as strictly as its contents. */
  #align(item: Item & { is: "align" }, state: ItemState): void {
    const to = this.#powerOfTwo(evaluate(item.to, this), item.first);
    const missing = Number((to - BigInt(this.#current.size) % to) % to);
    this.#room(missing, item);
    if (!this.#sections.isFirst(this.#current) && this.#current.alignment < Number(to)) {
      this.#current.alignment = Number(to);
    }
    if (!item.fill || item.fill.is === "reserve" || this.#current.isBss) {
      this.#current.reserve(missing);
    } else this.#repeat(item.fill, missing, state);
  }

  #powerOfTwo(value: Value, at: Token): bigint {
    const n = value.unknown ? 1n : value.n;
    if (n < 1n || n > BigInt(MAX_OUTPUT) || (n & (n - 1n)) !== 0n) {
      this.reporter.fail("An alignment is a power of two", at);
    }
    return n;
  }

  #count(value: Value, at: Token): number {
    if (value.unknown) return 0;
    if (value.n < 0n) {
      this.reporter.fail(
        `A count can't be negative: this one is ${value.n}`,
        at,
        value.n > -0x10000n
          ? "The code before it may be larger than the room it leaves"
          : undefined,
      );
    }
    if (value.n > BigInt(MAX_OUTPUT)) {
      this.reporter.giveUp(`A program has at most ${MAX_OUTPUT >> 20} MiB`, at);
    }
    return Number(value.n);
  }

  #append(bytes: Uint8Array, item: Item): void {
    this.#room(bytes.length, item);
    this.#current.append(bytes);
  }

  #room(more: number, item: Item): void {
    if (this.#sections.size + more > MAX_OUTPUT) {
      this.reporter.giveUp(`A program has at most ${MAX_OUTPUT >> 20} MiB`, item.first);
    }
  }

  #result(): LaidOut {
    const { bytes, end } = this.#sections.image(this.#origin);
    const lines = this.#lineEntries();
    return { bytes, origin: this.#origin, end, symbols: this.#symbols, lines };
  }

  /** One entry an item; what a macro made of one line is one entry. */
  #lineEntries(): LineEntry[] {
    const lines: LineEntry[] = [];
    let lastSite: Token | undefined;
    for (const { section, offset, length, item } of this.#lines) {
      const address = Number(section.start) + offset;
      const previous = lines[lines.length - 1];
      if (
        previous && item.site && item.site === lastSite &&
        previous.address + previous.length === address
      ) {
        lines[lines.length - 1] = { ...previous, length: previous.length + length };
      } else {
        lines.push({ address, length, span: siteSpan(item) });
      }
      lastSite = item.site;
    }
    return lines.sort((a, b) => a.address - b.address);
  }
}

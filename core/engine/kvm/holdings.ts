// What a thread holds of the kernel's, written down in memory that others see: a thread that is ended in the middle of its work
// gives nothing back, and file descriptors, mappings and timers are the process's. Whoever ends it does that afterwards.

/** What there is to give back. */
export const HELD = { descriptor: 1n, mapping: 2n, timer: 3n } as const;
export type Held = keyof typeof HELD;

/** One thing held: a number of the kernel's or an address, and of a mapping its size. */
export interface Holding {
  readonly what: Held;
  readonly handle: bigint;
  readonly size: bigint;
}

/** More than a machine with all its CPUs and doorbells has; what finds no place is not written down. */
const PLACES = 256;
/** Kind, handle and size. */
const WORDS = 3;
/** The thread's number and whether it is to end come before all others. */
const FIRST = 2, ENDING = 1;
export const HOLDINGS_BYTES = 8 * (FIRST + WORDS * PLACES);

const FORBIDDEN = -1n;

const KINDS = Object.keys(HELD) as Held[];

export class Holdings {
  readonly #words: BigInt64Array;

  /** Of {@linkcode HOLDINGS_BYTES} bytes, zeros at first. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#words = new BigInt64Array(memory);
  }

  /** The thread, by the kernel's number, is going to hold things; false if it is not to any more. */
  begin(thread: number): boolean {
    return Atomics.compareExchange(this.#words, 0, 0n, BigInt(thread)) !== FORBIDDEN;
  }

  /** The thread is to come to an end, and its guest is not to run on. */
  get ending(): boolean {
    return Atomics.load(this.#words, ENDING) !== 0n;
  }

  /** Tells it that. The thread's number; undefined if it has not begun yet, and it won't. */
  end(): number | undefined {
    Atomics.store(this.#words, ENDING, 1n);
    const thread = Atomics.compareExchange(this.#words, 0, 0n, FORBIDDEN);
    return thread === 0n || thread === FORBIDDEN ? undefined : Number(thread);
  }

  /** To be told at once. */
  add(what: Held, handle: bigint, size = 0n): void {
    const at = this.#find((kind) => kind === 0n);
    if (at === undefined) return;
    this.#words[at + 1] = handle;
    this.#words[at + 2] = size;
    this.#words[at] = HELD[what];
  }

  /** To be told before it is given back: better that one is lost than that somebody else's is taken for it. */
  remove(what: Held, handle: bigint): void {
    const at = this.#find((kind, held) => kind === HELD[what] && held === handle);
    if (at !== undefined) this.#words[at] = 0n;
  }

  /** All that is held. */
  all(): readonly Holding[] {
    const all: Holding[] = [];
    for (let at = FIRST; at < this.#words.length; at += WORDS) {
      const what = KINDS.find((kind) => HELD[kind] === this.#words[at]);
      const handle = this.#words[at + 1] ?? 0n, size = this.#words[at + 2] ?? 0n;
      if (what) all.push({ what, handle, size });
    }
    return all;
  }

  #find(fits: (kind: bigint, handle: bigint) => boolean): number | undefined {
    for (let at = FIRST; at < this.#words.length; at += WORDS) {
      if (fits(this.#words[at] ?? 0n, this.#words[at + 1] ?? 0n)) return at;
    }
    return undefined;
  }
}

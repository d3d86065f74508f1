// Numbers for randomized trials: the same for the same seed, everywhere.

const MASK = 0xffff_ffff_ffff_ffffn;

/** A small deterministic generator (xorshift64*). */
export class Random {
  #state: bigint;

  constructor(seed: number) {
    this.#state = (BigInt(seed) * 0x9e3779b97f4a7c15n + 1n) & MASK;
  }

  /** 64 random bits. */
  u64(): bigint {
    let x = this.#state;
    x ^= x >> 12n;
    x ^= (x << 25n) & MASK;
    x ^= x >> 27n;
    this.#state = x;
    return (x * 0x2545f4914f6cdd1dn) & MASK;
  }

  /** An integer from 0 to n - 1. */
  below(n: number): number {
    return Number(this.u64() >> 11n) % n;
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of a list that is not empty. */
  pick<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new Error("Nothing to pick from");
    return found;
  }

  /** Bytes of memory, by a cheaper generator: there are many. */
  bytes(length: number): Uint8Array {
    let x = Number(this.u64() & 0xffff_ffffn) | 1;
    return Uint8Array.from({ length }, () => {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      return x & 0xff;
    });
  }

  /** Values at which arithmetic goes wrong, as often as any others. */
  value(): bigint {
    const bits = this.pick([8n, 16n, 32n, 64n]);
    const edge = this.pick([
      0n,
      1n,
      2n,
      (1n << bits) - 1n,
      (1n << bits) - 2n,
      1n << (bits - 1n),
      (1n << (bits - 1n)) - 1n,
    ]);
    return this.oneIn(2) ? edge : this.u64() & ((1n << bits) - 1n);
  }
}

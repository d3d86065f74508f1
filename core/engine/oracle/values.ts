// Operands for the oracles that try one instruction on very many states: numbers at which arithmetic goes wrong, as often as
// any others. By a cheaper generator than `Random`, and the same for the same seed.

/** Elements of vectors, by their size: fraction bits, and the middle of the exponents. */
const FORMATS = { 32: [23n, 255n], 64: [52n, 2047n] } as const;

export class Values {
  #state: number;

  constructor(seed: number) {
    // Any seed but zero gives a row.
    this.#state = Math.imul(seed, 0x9e3779b1) | 1;
  }

  /** 32 random bits (xorshift32). */
  #next(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return Math.imul(x, 0x9e3779bb) >>> 0;
  }

  below(n: number): number {
    return Math.floor(this.#next() / 2 ** 32 * n);
  }
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }
  pick<T>(list: readonly T[]): T {
    const found = list[this.below(list.length)];
    if (found === undefined) throw new Error("Nothing to pick from");
    return found;
  }
  u64(): bigint {
    return BigInt(this.#next()) << 32n | BigInt(this.#next());
  }
  bits(n: number): bigint {
    return BigInt.asUintN(n, this.u64());
  }

  /** 64 bits for a general register. */
  word(): bigint {
    switch (this.below(4)) {
      case 0:
        return this.u64();
      case 1:
        return BigInt(this.below(20));
      case 2:
        return this.element(this.below(2) ? 64 : 32);
      default: {
        const bits = [8, 16, 32, 64][this.below(4)] ?? 64;
        const sign = 1n << BigInt(bits - 1);
        const near = sign + BigInt(this.below(5) - 2) + (this.below(2) ? sign : 0n);
        return BigInt.asUintN(64, this.below(2) ? near : BigInt.asIntN(bits, near));
      }
    }
  }

  /** 16 bytes of elements of one kind. */
  vector(): bigint {
    const bits = this.pick([8, 16, 32, 32, 32, 64, 64] as const);
    let value = 0n;
    for (let at = 0; at < 128; at += bits) value |= this.element(bits) << BigInt(at);
    return value;
  }

  /** Normal numbers whose sums and products mostly are too: what runs straight on WebAssembly's arithmetic. */
  tameVector(): bigint {
    const bits = this.pick([32, 64] as const);
    const [fraction, special] = FORMATS[bits];
    const middle = Number(special >> 1n);
    const spread = this.pick([2, 30, middle]);
    let value = 0n;
    for (let at = 0; at < 128; at += bits) {
      const exponent = BigInt(middle + this.below(spread) - (spread >> 1));
      const payload = this.pick([0n, this.bits(Number(fraction)), this.bits(3) << (fraction - 3n)]);
      const element = this.below(12) ? exponent << fraction | payload : 0n;
      value |= (element | BigInt(this.below(2)) << BigInt(bits - 1)) << BigInt(at);
    }
    return value;
  }

  /** An integer at an edge; or, of 32 and 64 bits, a floating-point number, from denormals to NaNs. */
  element(bits: 8 | 16 | 32 | 64): bigint {
    const kind = this.below(4);
    if (bits < 32 || kind === 0) {
      return this.below(2) ? this.bits(bits) : BigInt.asUintN(
        bits,
        this.pick([0n, 1n, -1n, 2n, 1n << BigInt(bits - 1), (1n << BigInt(bits - 1)) - 1n]),
      );
    }
    const [fraction, special] = FORMATS[bits === 64 ? 64 : 32];
    const sign = BigInt(this.below(2)) << BigInt(bits - 1);
    const middle = special >> 1n;
    const exponent = this.pick([
      0n,
      0n,
      1n,
      special,
      special - 1n,
      middle,
      middle + BigInt(this.below(70)),
      middle - BigInt(this.below(30)),
      this.bits(11) & special,
    ]);
    const payload = this.pick([
      0n,
      0n,
      1n,
      (1n << fraction) - 1n,
      1n << (fraction - 1n),
      this.bits(Number(fraction)),
      this.bits(Number(fraction)),
      this.bits(8) << (fraction - 8n),
    ]);
    return sign | exponent << fraction | payload;
  }
}

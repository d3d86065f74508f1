// 256 bits, one an interrupt vector: what ISR and IRR of a local APIC are.

/** A set of vectors, in the eight words that the guest reads. */
export class VectorSet {
  readonly #words = new Uint32Array(8);

  has(vector: number): boolean {
    return ((this.word(vector >> 5) >>> (vector & 31)) & 1) !== 0;
  }
  set(vector: number, present: boolean): void {
    const bit = 1 << (vector & 31);
    const word = this.word(vector >> 5);
    this.#words[vector >> 5] = present ? word | bit : word & ~bit;
  }
  /** The highest vector, or -1. */
  highest(): number {
    for (let i = 7; i >= 0; i--) {
      const word = this.word(i);
      if (word !== 0) return 32 * i + 31 - Math.clz32(word);
    }
    return -1;
  }
  /** Word `i` of eight, the lowest vectors first. */
  word(i: number): number {
    return this.#words[i] ?? 0;
  }

  save(): number[] {
    return [...this.#words];
  }
  restore(words: readonly number[]): void {
    this.#words.set(words.slice(0, 8));
  }
}

// Zero-terminated strings behind a structure that points at them.

/** Collects strings, and tells where each will be. */
export class StringTable {
  readonly #bytes: number[] = [];

  /** `base` is the guest-physical address that the first string will have. */
  constructor(readonly base: number) {}

  /** Adds one as UTF-8, cut at the first zero character; tells its guest-physical address. */
  add(text: string): number {
    const address = this.base + this.#bytes.length;
    const end = text.indexOf("\0");
    this.#bytes.push(...new TextEncoder().encode(end < 0 ? text : text.slice(0, end)), 0);
    return address;
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }
}

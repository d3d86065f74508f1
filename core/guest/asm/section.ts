// The bytes of one section, as far as they are laid out.

/** NASM's flat binaries align every section but the first to this (NASM manual, 8.1.3). */
const DEFAULT_ALIGNMENT = 4;

export class Section {
  /** Address of its first byte. */
  start = 0n;
  alignment = DEFAULT_ALIGNMENT;
  /** Bytes so far, reserved ones included. */
  size = 0;
  /** Bytes up to the last one that is not reserved. */
  written = 0;
  #bytes = new Uint8Array(256);

  /** `number` tells sections apart. */
  constructor(readonly name: string, readonly number: number) {}

  /** Has no contents, only room. */
  get isBss(): boolean {
    return this.name === ".bss";
  }

  /** Empties it for the next pass. */
  rewind(): void {
    this.#bytes.fill(0, 0, this.written);
    this.size = 0;
    this.written = 0;
  }

  append(bytes: Uint8Array): void {
    this.fill(bytes, 1);
  }

  /** Appends `bytes`, `count` times. */
  fill(bytes: Uint8Array, count: number): void {
    const end = this.size + bytes.length * count;
    this.#grow(end);
    if (bytes.length === 1) this.#bytes.fill(bytes[0] ?? 0, this.size, end);
    else for (let at = this.size; at < end; at += bytes.length) this.#bytes.set(bytes, at);
    this.size = end;
    if (bytes.length * count > 0) this.written = end;
  }

  /** Leaves room of zeros. */
  reserve(length: number): void {
    this.size += length;
  }

  contents(): Uint8Array {
    return this.#bytes.subarray(0, this.written);
  }

  #grow(to: number): void {
    if (to <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(to, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.written));
    this.#bytes = larger;
  }
}

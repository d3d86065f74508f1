// The bytes of the sections, as far as they are laid out, and where each section lies.
import type { Value } from "./value.ts";

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

/** All sections of a program; `.text` is always there, and first. */
export class Sections {
  readonly #all: Section[] = [new Section(".text", 0)];
  #current = this.#all[0] ?? new Section(".text", 0);

  /** The one that bytes go to. */
  get current(): Section {
    return this.#current;
  }

  /** Bytes of all together. */
  get size(): number {
    return this.#all.reduce((sum, section) => sum + section.size, 0);
  }

  /** Is it the one that starts at the origin? */
  isFirst(section: Section): boolean {
    return section === this.#all[0];
  }

  /** Goes back to the beginning of `.text`, with all of them empty. */
  rewind(): void {
    for (const section of this.#all) section.rewind();
    this.enter(".text");
  }

  /** Goes on in a section, and tells whether it is a new one. */
  enter(name: string): boolean {
    const known = this.#all.find((section) => section.name === name);
    this.#current = known ?? new Section(name, this.#all.length);
    if (!known) this.#all.push(this.#current);
    return !known;
  }

  /** Lets them follow each other from `origin` on, those without contents last; tells whether any has moved. */
  place(origin: number): boolean {
    let at = BigInt(origin);
    let moved = false;
    const solid = this.#all.filter((section) => !section.isBss);
    for (const section of [...solid, ...this.#all.filter((section) => section.isBss)]) {
      const start = this.isFirst(section) ? at : alignUp(at, BigInt(section.alignment));
      moved ||= section.start !== start;
      section.start = start;
      at = start + BigInt(section.size);
    }
    return moved;
  }

  /** The address of an offset in the current section. */
  address(offset: number): Value {
    const { start, number } = this.#current;
    return { n: start + BigInt(offset), relative: 1, section: number, unknown: false };
  }

  /** What there is from `origin` to the last byte that is not just reserved, and the end of everything. */
  image(origin: number): { readonly bytes: Uint8Array; readonly end: number } {
    const solid = this.#all.filter((section) => section.written > 0);
    const last = Math.max(origin, ...solid.map((s) => Number(s.start) + s.written));
    const bytes = new Uint8Array(last - origin);
    for (const section of solid) bytes.set(section.contents(), Number(section.start) - origin);
    return { bytes, end: Math.max(last, ...this.#all.map((s) => Number(s.start) + s.size)) };
  }
}

function alignUp(at: bigint, to: bigint): bigint {
  return (at + to - 1n) / to * to;
}

// Little-endian fields of an untrusted file. Readers ask `holds` first; a field that is not there reads as 0, so that a
// forgotten check gives a wrong field and never a crash.

/** A file, by offsets in bytes. */
export class FileView {
  readonly #view: DataView;
  /** In bytes. */
  readonly length: number;

  constructor(readonly bytes: Uint8Array) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.length = bytes.length;
  }

  /** Is all of this range in the file? */
  holds(offset: number, length: number): boolean {
    return Number.isSafeInteger(offset) && offset >= 0 && length >= 0 &&
      offset + length <= this.length;
  }

  u8(offset: number): number {
    return this.holds(offset, 1) ? this.#view.getUint8(offset) : 0;
  }
  u16(offset: number): number {
    return this.holds(offset, 2) ? this.#view.getUint16(offset, true) : 0;
  }
  u32(offset: number): number {
    return this.holds(offset, 4) ? this.#view.getUint32(offset, true) : 0;
  }
  u64(offset: number): bigint {
    return this.holds(offset, 8) ? this.#view.getBigUint64(offset, true) : 0n;
  }
  /** Infinity where it is 2^53 or more: no bounds check lets that pass. */
  size64(offset: number): number {
    const value = this.u64(offset);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : Infinity;
  }

  /** A view of the same bytes; empty where the file does not hold them. */
  slice(offset: number, length: number): Uint8Array {
    return this.holds(offset, length)
      ? this.bytes.subarray(offset, offset + length)
      : new Uint8Array();
  }
}

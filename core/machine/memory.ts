// Guest-physical memory as devices and monitors see it. The engine implements it over its own RAM.
import type { Gpa } from "../base/address.ts";

/** Guest RAM, little-endian. Every accessor throws {@linkcode GuestMemoryError} unless the whole range is RAM. */
export interface GuestMemory {
  /** Bytes of RAM, which starts at guest-physical address 0. */
  readonly size: number;
  /** A copy. */
  read(address: Gpa, length: number): Uint8Array;
  /** Writes all of the bytes, or none. */
  write(address: Gpa, bytes: Uint8Array): void;
  /** Two bytes, unsigned. */
  readU16(address: Gpa): number;
  /** Four bytes, unsigned. */
  readU32(address: Gpa): number;
  /** Eight bytes, unsigned. */
  readU64(address: Gpa): bigint;
  /** The low two bytes of `value`. */
  writeU16(address: Gpa, value: number): void;
  /** The low four bytes of `value`. */
  writeU32(address: Gpa, value: number): void;
  /** The low eight bytes of `value`. */
  writeU64(address: Gpa, value: bigint): void;
}

/** The guest named memory that is not RAM. Devices turn it into their own error state, monitors into an error code. */
export class GuestMemoryError extends Error {
  override readonly name = "GuestMemoryError";
  constructor(readonly address: number, readonly length: number) {
    super(`No RAM at guest-physical ${address.toString(16)}, ${length} bytes`);
  }
}

/** Guest memory over any byte array: of the embedded engine, of a KVM mapping, or of a test. */
export class ByteMemory implements GuestMemory {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly size: number;

  /** `onWrite` is told of every write before it is done: an engine drops translations of the code there. */
  constructor(bytes: Uint8Array, readonly onWrite?: (address: number, length: number) => void) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.size = bytes.length;
  }

  #check(address: number, length: number): void {
    if (
      !(Number.isInteger(address) && address >= 0 && length >= 0 && address + length <= this.size)
    ) {
      throw new GuestMemoryError(address, length);
    }
  }

  read(address: Gpa, length: number): Uint8Array {
    this.#check(address, length);
    return this.#bytes.slice(address, address + length);
  }
  write(address: Gpa, bytes: Uint8Array): void {
    this.#check(address, bytes.length);
    this.onWrite?.(address, bytes.length);
    this.#bytes.set(bytes, address);
  }
  readU16(address: Gpa): number {
    this.#check(address, 2);
    return this.#view.getUint16(address, true);
  }
  readU32(address: Gpa): number {
    this.#check(address, 4);
    return this.#view.getUint32(address, true);
  }
  readU64(address: Gpa): bigint {
    this.#check(address, 8);
    return this.#view.getBigUint64(address, true);
  }
  writeU16(address: Gpa, value: number): void {
    this.#check(address, 2);
    this.onWrite?.(address, 2);
    this.#view.setUint16(address, value, true);
  }
  writeU32(address: Gpa, value: number): void {
    this.#check(address, 4);
    this.onWrite?.(address, 4);
    this.#view.setUint32(address, value, true);
  }
  writeU64(address: Gpa, value: bigint): void {
    this.#check(address, 8);
    this.onWrite?.(address, 8);
    this.#view.setBigUint64(address, value, true);
  }
}

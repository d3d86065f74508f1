// A descriptor chain as the device uses it: what the driver gives to read, and room to write into, each as one run of
// bytes. How the driver has cut it into buffers is its own business (virtio 1.2, 2.7.4).
import type { Gpa } from "../../base/address.ts";
import type { GuestMemory } from "../memory.ts";

/** A piece of guest RAM; `queue.ts` has checked that it is RAM. */
export interface Buffer {
  readonly address: Gpa;
  readonly length: number;
}

/** Buffers, seen as one run of bytes. */
export class Bytes {
  /** All of them together. */
  readonly length: number;

  constructor(readonly memory: GuestMemory, readonly buffers: readonly Buffer[]) {
    this.length = buffers.reduce((sum, { length }) => sum + length, 0);
  }

  /** A copy of `length` bytes from `offset`; fewer at the end. */
  read(offset: number, length: number): Uint8Array {
    const pieces = [...this.#pieces(offset, length)];
    const result = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let at = 0;
    for (const piece of pieces) {
      result.set(this.memory.read(piece.address, piece.length), at);
      at += piece.length;
    }
    return result;
  }

  /** Writes from `offset` what fits, and tells how much that is. */
  write(offset: number, bytes: Uint8Array): number {
    let at = 0;
    for (const piece of this.#pieces(offset, bytes.length)) {
      this.memory.write(piece.address, bytes.subarray(at, at + piece.length));
      at += piece.length;
    }
    return at;
  }

  *#pieces(offset: number, length: number): Generator<Buffer> {
    let skip = offset;
    let left = length;
    for (const { address, length: size } of this.buffers) {
      if (left <= 0) return;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      const taken = Math.min(size - skip, left);
      yield { address: address + skip as Gpa, length: taken };
      left -= taken;
      skip = 0;
    }
  }
}

/** One request of the driver. */
export interface Chain {
  /** Index of its first descriptor: its name when it is returned. */
  readonly head: number;
  readonly readable: Bytes;
  readonly writable: Bytes;
}

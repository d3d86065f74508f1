// The guest's RAM before there is a vCPU to own it. Devices that do DMA are built with the board, the board decides the
// vCPU's controls, and only the vCPU brings the memory: this stands in for it from the start.
import type { Gpa } from "../base/address.ts";
import type { GuestMemory } from "../machine/memory.ts";

/** Guest memory that is given its substance later; every access before {@linkcode bind} throws. */
export class LateMemory implements GuestMemory {
  #memory: GuestMemory | undefined;

  constructor(readonly size: number) {}

  /** Throws when bound already, or when the sizes differ. */
  bind(memory: GuestMemory): void {
    if (this.#memory) throw new Error("Guest memory is bound already");
    if (memory.size !== this.size) {
      throw new Error(`The engine gave ${memory.size} bytes of RAM instead of ${this.size}`);
    }
    this.#memory = memory;
  }

  get #bound(): GuestMemory {
    if (!this.#memory) throw new Error("Guest memory is used before the vCPU exists");
    return this.#memory;
  }

  read(address: Gpa, length: number): Uint8Array {
    return this.#bound.read(address, length);
  }
  write(address: Gpa, bytes: Uint8Array): void {
    this.#bound.write(address, bytes);
  }
  readU16(address: Gpa): number {
    return this.#bound.readU16(address);
  }
  readU32(address: Gpa): number {
    return this.#bound.readU32(address);
  }
  readU64(address: Gpa): bigint {
    return this.#bound.readU64(address);
  }
  writeU16(address: Gpa, value: number): void {
    this.#bound.writeU16(address, value);
  }
  writeU32(address: Gpa, value: number): void {
    this.#bound.writeU32(address, value);
  }
  writeU64(address: Gpa, value: bigint): void {
    this.#bound.writeU64(address, value);
  }
}

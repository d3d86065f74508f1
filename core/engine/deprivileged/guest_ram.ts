// The guest's RAM without what the engine keeps behind it: nobody outside of this folder gets to the shim's pages.
import type { Gpa } from "../../base/address.ts";
import { type GuestMemory, GuestMemoryError } from "../../machine/memory.ts";

/** The first `size` bytes of a machine's memory, as if there were no more. */
export class GuestRam implements GuestMemory {
  constructor(readonly machine: GuestMemory, readonly size: number) {}

  #check(address: number, length: number): void {
    // Addresses below 0, and what is no integer, the machine's own memory refuses.
    if (address + length > this.size) throw new GuestMemoryError(address, length);
  }

  read(address: Gpa, length: number): Uint8Array {
    this.#check(address, length);
    return this.machine.read(address, length);
  }
  write(address: Gpa, bytes: Uint8Array): void {
    this.#check(address, bytes.length);
    this.machine.write(address, bytes);
  }
  readU16(address: Gpa): number {
    this.#check(address, 2);
    return this.machine.readU16(address);
  }
  readU32(address: Gpa): number {
    this.#check(address, 4);
    return this.machine.readU32(address);
  }
  readU64(address: Gpa): bigint {
    this.#check(address, 8);
    return this.machine.readU64(address);
  }
  writeU16(address: Gpa, value: number): void {
    this.#check(address, 2);
    this.machine.writeU16(address, value);
  }
  writeU32(address: Gpa, value: number): void {
    this.#check(address, 4);
    this.machine.writeU32(address, value);
  }
  writeU64(address: Gpa, value: bigint): void {
    this.#check(address, 8);
    this.machine.writeU64(address, value);
  }
}

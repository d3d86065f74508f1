// The only way from a pointer that a guest passes in a hypercall to its memory. Every byte is checked as the guest's own
// access would be: mapped for CPL 3, writable if written, and outside Xen's hole.
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import type { GuestMemory } from "../../machine/memory.ts";
import { ERRNO, HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START } from "./abi.ts";
import { walk } from "./page_tables.ts";
import { Refused } from "./refused.ts";

/** Largest object that one pointer may name, in bytes: a bound on the work of one hypercall. */
export const MAX_OBJECT = 1 << 20;

/** Reads and writes by linear addresses of the guest. All methods throw `Refused(EFAULT)` where the guest has no access. */
export class GuestPointers {
  /** `table` tells the top-level table in use. */
  constructor(readonly memory: GuestMemory, readonly table: () => number) {}

  /** A copy of `length` bytes. */
  read(pointer: bigint, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (const { at, address, size } of this.#chunks(pointer, length, false)) {
      bytes.set(this.memory.read(address as Gpa, size), at);
    }
    return bytes;
  }

  /** Writes all or nothing. */
  write(pointer: bigint, bytes: Uint8Array): void {
    const chunks = this.#chunks(pointer, bytes.length, true);
    for (const { at, address, size } of chunks) {
      this.memory.write(address as Gpa, bytes.subarray(at, at + size));
    }
  }

  /** A structure, to be taken apart by its offsets. */
  view(pointer: bigint, length: number): DataView {
    return new DataView(this.read(pointer, length).buffer);
  }

  /** A 64-bit number. */
  readU64(pointer: bigint): bigint {
    return this.view(pointer, 8).getBigUint64(0, true);
  }

  /** Writes a 32-bit number. */
  writeU32(pointer: bigint, value: number): void {
    const view = new DataView(new ArrayBuffer(4));
    view.setUint32(0, value, true);
    this.write(pointer, new Uint8Array(view.buffer));
  }

  /** Writes a 64-bit number. */
  writeU64(pointer: bigint, value: bigint): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, value, true);
    this.write(pointer, new Uint8Array(view.buffer));
  }

  #chunks(pointer: bigint, length: number, write: boolean) {
    const start = BigInt.asUintN(64, pointer);
    const end = start + BigInt(length);
    const inHole = end > HYPERVISOR_VIRT_START && start < HYPERVISOR_VIRT_END;
    if (length > MAX_OBJECT || inHole || end > 1n << 64n) throw new Refused(ERRNO.EFAULT);
    const chunks: { at: number; address: number; size: number }[] = [];
    for (let at = 0; at < length;) {
      const linear = start + BigInt(at);
      const leaf = walk(this.memory, this.table(), linear);
      if (!leaf || (write && !leaf.writable)) throw new Refused(ERRNO.EFAULT);
      const size = Math.min(length - at, PAGE_SIZE - leaf.address % PAGE_SIZE);
      if (leaf.address + size > this.memory.size) throw new Refused(ERRNO.EFAULT);
      chunks.push({ at, address: leaf.address, size });
      at += size;
    }
    return chunks;
  }
}

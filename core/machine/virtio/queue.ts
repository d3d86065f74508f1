// A split virtqueue, the device's side of it (virtio 1.2, 2.7). All three parts are guest memory: nothing in them is
// believed. Whatever breaks the specification is a VirtqueueError; no loop is longer than the queue.
import { type Gpa, gpa, MAX_GPA } from "../../base/address.ts";
import { hex } from "../../base/hex.ts";
import type { GuestMemory } from "../memory.ts";
import { restored } from "../saved_state.ts";
import { type Buffer, Bytes, type Chain } from "./chain.ts";

/** The driver has put something into a queue that must not be there. The message is a sentence without a full stop. */
export class VirtqueueError extends Error {
  override readonly name = "VirtqueueError";
}

/** Descriptor: address 8, length 4, flags 2, next 2 bytes (2.7.5). */
const DESCRIPTOR_SIZE = 16;
const F_NEXT = 1, F_WRITE = 2, F_INDIRECT = 4;
/** Available ring: flags, idx, ring[], used_event. Used ring: flags, idx, ring[] of id and length, avail_event. */
const RING_INDEX = 2, RING_ENTRIES = 4, USED_ENTRY_SIZE = 8;
const AVAIL_F_NO_INTERRUPT = 1;

/** A chain must be shorter than 2^32 bytes in all (2.7.5.1). */
const MAX_CHAIN_BYTES = 2 ** 32;

const RESET = {
  size: 0,
  ready: false,
  /** Addresses as the driver wrote them, low and high half. */
  descLow: 0,
  descHigh: 0,
  driverLow: 0,
  driverHigh: 0,
  deviceLow: 0,
  deviceHigh: 0,
  /** Next entry of the available ring to take, and of the used ring to fill: free-running, 16 bits. */
  nextAvail: 0,
  nextUsed: 0,
  /** Used index when the driver was last asked whether it wants an interrupt. */
  signalled: 0,
};

/** What the driver tells of a queue through the transport. */
export type QueueSetup = typeof RESET;

const fenced = new Int32Array(1);

/**
 * What has been stored is there for all before anything is loaded: a driver on a CPU that runs meanwhile stores what is loaded here,
 * and then loads what was stored (2.7.7.2, 2.7.10). On x86 any atomic operation does that.
 */
function fence(): void {
  Atomics.add(fenced, 0, 1);
}

export class Virtqueue {
  #state: QueueSetup = { ...RESET };
  #descriptors = 0;
  #available = 0;
  #used = 0;
  #indirect = false;
  #eventIndex = false;

  constructor(readonly memory: GuestMemory, readonly maxSize: number) {
    this.#state.size = maxSize;
  }

  /** What the driver has set up; the transport writes it, but for `ready` and the indexes. */
  get setup(): QueueSetup {
    return this.#state;
  }

  reset(): void {
    this.#state = { ...RESET, size: this.maxSize };
  }

  /** Makes the queue ready as it is set up. Throws `VirtqueueError` if that can't be. */
  enable(features: { indirect: boolean; eventIndex: boolean }): void {
    const s = this.#state;
    if (s.size < 1 || s.size > this.maxSize || (s.size & (s.size - 1)) !== 0) {
      throw new VirtqueueError(`Queue size ${s.size} is not a power of two up to ${this.maxSize}`);
    }
    this.#descriptors = this.#part("Descriptor table", s.descLow, s.descHigh, 16, 16 * s.size);
    this.#available = this.#part("Available ring", s.driverLow, s.driverHigh, 2, 6 + 2 * s.size);
    this.#used = this.#part("Used ring", s.deviceLow, s.deviceHigh, 4, 6 + 8 * s.size);
    this.#indirect = features.indirect;
    this.#eventIndex = features.eventIndex;
    s.ready = true;
  }

  disable(): void {
    this.#state.ready = false;
  }

  /** How many chains wait. Throws `VirtqueueError` when the driver claims more than the queue holds. */
  waiting(): number {
    const { nextAvail, size } = this.#state;
    const count = (this.memory.readU16(gpa(this.#available + RING_INDEX)) - nextAvail) & 0xffff;
    if (count > size) {
      throw new VirtqueueError(`Available index is ${count} ahead in a queue of ${size}`);
    }
    return count;
  }

  /** Takes the next chain; undefined when none waits. Throws `VirtqueueError` for one that no driver may make. */
  take(): Chain | undefined {
    const s = this.#state;
    if (this.waiting() === 0) return undefined;
    const entry = this.#available + RING_ENTRIES + 2 * (s.nextAvail & (s.size - 1));
    const head = this.memory.readU16(gpa(entry));
    const chain = this.#chain(head);
    s.nextAvail = (s.nextAvail + 1) & 0xffff;
    if (this.#eventIndex) {
      // "Notify me of the next one."
      const availEvent = this.#used + RING_ENTRIES + USED_ENTRY_SIZE * s.size;
      this.memory.writeU16(gpa(availEvent), s.nextAvail);
      fence();
    }
    return chain;
  }

  /** Returns a chain, with the number of bytes written into it from its start. */
  give(chain: Chain, written: number): void {
    const s = this.#state;
    const entry = this.#used + RING_ENTRIES + USED_ENTRY_SIZE * (s.nextUsed & (s.size - 1));
    this.memory.writeU32(gpa(entry), chain.head);
    this.memory.writeU32(gpa(entry + 4), written);
    s.nextUsed = (s.nextUsed + 1) & 0xffff;
    // The index last: only then is the entry the driver's.
    this.memory.writeU16(gpa(this.#used + RING_INDEX), s.nextUsed);
  }

  /** Have chains been returned since this was last asked, of which the driver wants to be told (2.7.7.2)? */
  wantsInterrupt(): boolean {
    const s = this.#state;
    const before = s.signalled;
    if (s.nextUsed === before) return false;
    s.signalled = s.nextUsed;
    fence();
    if (!this.#eventIndex) {
      return (this.memory.readU16(gpa(this.#available)) & AVAIL_F_NO_INTERRUPT) === 0;
    }
    const usedEvent = this.memory.readU16(gpa(this.#available + RING_ENTRIES + 2 * s.size));
    return ((s.nextUsed - usedEvent - 1) & 0xffff) < ((s.nextUsed - before) & 0xffff);
  }

  #part(name: string, low: number, high: number, alignment: number, length: number): number {
    const address = high * 2 ** 32 + low;
    if (address % alignment !== 0) {
      throw new VirtqueueError(`${name} at ${hex(address)} is not aligned to ${alignment}`);
    }
    if (address + length > this.memory.size) {
      throw new VirtqueueError(`${name} at ${hex(address)} is not in RAM`);
    }
    return address;
  }

  /** Follows a chain from its first descriptor. */
  #chain(head: number): Chain {
    const { size } = this.#state;
    const readable: Buffer[] = [];
    const writable: Buffer[] = [];
    let table = this.#descriptors;
    let entries = size;
    let index = head;
    let bytes = 0;
    let inIndirect = false;
    // Longer than the queue is against the specification (2.7.5.3.1), and so is every loop.
    for (let count = 0; count < size;) {
      if (index >= entries) throw new VirtqueueError(`Descriptor ${index} of ${entries}`);
      const d = this.#descriptor(table + index * DESCRIPTOR_SIZE);
      if (d.flags & F_INDIRECT) {
        if (!this.#indirect) throw new VirtqueueError("Indirect descriptor was not negotiated");
        if (inIndirect) throw new VirtqueueError("Indirect descriptor in an indirect table");
        if (d.flags & F_NEXT) throw new VirtqueueError("Indirect descriptor that is not the last");
        if (d.length === 0 || d.length % DESCRIPTOR_SIZE !== 0) {
          throw new VirtqueueError(`Indirect table of ${d.length} bytes`);
        }
        inIndirect = true;
        table = this.#inRam(d.address, d.length);
        entries = d.length / DESCRIPTOR_SIZE;
        index = 0;
        continue;
      }
      count++;
      bytes += d.length;
      if (bytes >= MAX_CHAIN_BYTES) throw new VirtqueueError("Chain of 4 GiB or more");
      const buffer = { address: this.#inRam(d.address, d.length), length: d.length };
      if (d.flags & F_WRITE) writable.push(buffer);
      else if (writable.length > 0) {
        throw new VirtqueueError("Device-readable descriptor after a device-writable one");
      } else readable.push(buffer);
      if ((d.flags & F_NEXT) === 0) {
        const { memory } = this;
        return {
          head,
          readable: new Bytes(memory, readable),
          writable: new Bytes(memory, writable),
        };
      }
      index = d.next;
    }
    throw new VirtqueueError("Descriptor chain is longer than the queue, or loops");
  }

  #descriptor(at: number): { address: bigint; length: number; flags: number; next: number } {
    return {
      address: this.memory.readU64(gpa(at)),
      length: this.memory.readU32(gpa(at + 8)),
      flags: this.memory.readU16(gpa(at + 12)),
      next: this.memory.readU16(gpa(at + 14)),
    };
  }

  #inRam(address: bigint, length: number): Gpa {
    if (address > BigInt(MAX_GPA) || Number(address) + length > this.memory.size) {
      throw new VirtqueueError(`Buffer at ${hex(address)}, ${length} bytes, is not in RAM`);
    }
    return gpa(Number(address));
  }

  save(): QueueSetup {
    return { ...this.#state };
  }

  /** Takes a saved queue back, with the features that its driver had negotiated. */
  restore(state: unknown, features: { indirect: boolean; eventIndex: boolean }): void {
    this.#state = restored(RESET, state, "queue");
    if (this.#state.ready) this.enable(features);
  }
}

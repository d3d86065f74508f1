// A virtio driver for tests: it builds queues in guest memory by the book, or as a test wants them broken.
import { gpa } from "../../base/address.ts";
import type { Access } from "../../trace/exit.ts";
import { ByteMemory } from "../memory.ts";
import { TestLine } from "../testing.ts";
import { FEATURE, STATUS, type VirtioDevice } from "./device.ts";
import { REGISTER, VirtioMmio } from "./mmio.ts";

export const MEMORY_SIZE = 0x40000;
/** Where the queue `n` is: descriptors, available ring, used ring. */
export const queueBase = (n: number) => 0x1000 + n * 0x3000;
export const AVAIL = 0x1000, USED = 0x2000;

export interface Descriptor {
  readonly address: number | bigint;
  readonly length: number;
  readonly flags?: number;
  readonly next?: number;
}

export class TestDriver {
  readonly memory = new ByteMemory(new Uint8Array(MEMORY_SIZE));
  readonly line = new TestLine();
  readonly accesses: Access[] = [];
  readonly mmio: VirtioMmio;
  #size = 8;
  readonly #added: number[] = [];

  constructor(device: VirtioDevice) {
    const { memory, line } = this;
    const observe = (access: Access) => void this.accesses.push(access);
    this.mmio = new VirtioMmio({ device, memory, line, observe });
  }

  get(register: keyof typeof REGISTER): number {
    return this.mmio.read(REGISTER[register], 4);
  }
  set(register: keyof typeof REGISTER, value: number): void {
    this.mmio.write(REGISTER[register], 4, value);
  }

  /** Initializes device and queues (3.1.1). */
  start(options: { size?: number; features?: bigint } = {}): this {
    const { size = 8, features = FEATURE.VERSION_1 } = options;
    this.#size = size;
    this.set("Status", 0);
    this.set("Status", STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    this.offer(features);
    this.set("Status", STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK);
    for (let n = 0; n < this.mmio.device.queueSizes.length; n++) {
      this.#added[n] = 0;
      this.setUp(n, size);
    }
    this.set(
      "Status",
      STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK | STATUS.DRIVER_OK,
    );
    return this;
  }

  offer(features: bigint): void {
    for (const select of [0, 1]) {
      this.set("DriverFeaturesSel", select);
      this.set("DriverFeatures", Number(features >> BigInt(32 * select) & 0xffffffffn));
    }
  }

  setUp(n: number, size: number, base = queueBase(n)): void {
    this.set("QueueSel", n);
    this.set("QueueSize", size);
    this.set("QueueDescLow", base);
    this.set("QueueDriverLow", base + AVAIL);
    this.set("QueueDeviceLow", base + USED);
    this.set("QueueReady", 1);
  }

  /** Writes a descriptor of queue `n`, or into an indirect table. */
  describe(n: number, index: number, d: Descriptor, table = queueBase(n)): void {
    const at = table + 16 * index;
    this.memory.writeU64(gpa(at), BigInt(d.address));
    this.memory.writeU32(gpa(at + 8), d.length);
    this.memory.writeU16(gpa(at + 12), d.flags ?? 0);
    this.memory.writeU16(gpa(at + 14), d.next ?? 0);
  }

  /** Makes a chain from descriptor `first` on available. */
  offerChain(n: number, first: number): void {
    const added = this.#added[n] ?? 0;
    const avail = queueBase(n) + AVAIL;
    this.memory.writeU16(gpa(avail + 4 + 2 * (added % this.#size)), first);
    this.#added[n] = added + 1;
    this.memory.writeU16(gpa(avail + 2), (added + 1) & 0xffff);
  }

  notify(n: number): void {
    this.set("QueueNotify", n);
  }

  /** What the device has returned: the used index, and the entries up to it. */
  used(n: number): { id: number; length: number }[] {
    const at = queueBase(n) + USED;
    const index = this.memory.readU16(gpa(at + 2));
    return Array.from({ length: Math.min(index, this.#size) }, (_, i) => ({
      id: this.memory.readU32(gpa(at + 4 + 8 * i)),
      length: this.memory.readU32(gpa(at + 8 + 8 * i)),
    }));
  }

  /** Reasons for which the device gave up. */
  get failures(): string[] {
    return this.accesses.flatMap((a) => a.kind === "device-needs-reset" ? [a.reason] : []);
  }

  put(address: number, text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    this.memory.write(gpa(address), bytes);
  }
  text(address: number, length: number): string {
    return new TextDecoder().decode(this.memory.read(gpa(address), length));
  }
}

// The contract between a virtio device and its transport. A device can't tell what carries its registers; a transport
// can't tell what the queues are for. Section numbers are those of the virtio 1.2 specification.
import type { DeviceState } from "../device.ts";
import type { Virtqueue } from "./queue.ts";

/** Feature bits that are the transport's and the queues' business (6). */
export const FEATURE = {
  INDIRECT_DESC: 1n << 28n,
  EVENT_IDX: 1n << 29n,
  VERSION_1: 1n << 32n,
} as const;

/** Device status (2.1). */
export const STATUS = {
  ACKNOWLEDGE: 1,
  DRIVER: 2,
  DRIVER_OK: 4,
  FEATURES_OK: 8,
  NEEDS_RESET: 0x40,
  FAILED: 0x80,
} as const;

/** What a transport does for its device. */
export interface VirtioTransport {
  /**
   * Gives a queue to `work`, if the driver has made the device and the queue ready. When `work` comes upon something
   * in guest memory that no driver may put there ({@linkcode VirtqueueError}, or memory that is not RAM), the device
   * needs a reset, and no queue is served until then. Interrupts if buffers were returned, and the driver wants to know.
   */
  serve(queue: number, work: (queue: Virtqueue) => void): void;
}

/** One virtio device, as its transport sees it. */
export interface VirtioDevice {
  /** As traces name it. */
  readonly name: string;
  /** Device ID (5). */
  readonly id: number;
  /** The device's own feature bits, 0 to 23 and 50 on. */
  readonly features: bigint;
  /** Largest size of each queue: powers of two. */
  readonly queueSizes: readonly number[];

  /** Called once, before anything else. */
  attach(transport: VirtioTransport): void;
  /** A byte of the configuration space; 0 beyond its end. */
  readConfig(offset: number): number;
  /** A driver's write to the configuration space. `size` is 1, 2 or 4. */
  writeConfig(offset: number, size: number, value: number): void;
  /** The driver has put buffers on a queue. */
  notify(queue: number): void;
  /** The driver resets the device. */
  reset(): void;
  save(): DeviceState;
  restore(state: DeviceState): void;
}

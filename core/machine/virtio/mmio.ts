// The virtio-mmio transport, version 2 (virtio 1.2, 4.2): registers of a device in memory, and one interrupt line.
import type { Access } from "../../trace/exit.ts";
import type { AccessSize, Device, DeviceState, InterruptLine } from "../device.ts";
import { GuestMemoryError } from "../memory.ts";
import type { GuestMemory } from "../memory.ts";
import { restored } from "../saved_state.ts";
import { FEATURE, STATUS, type VirtioDevice, type VirtioTransport } from "./device.ts";
import { Virtqueue, VirtqueueError } from "./queue.ts";

/** Registers by offset (4.2.2). */
export const REGISTER = {
  MagicValue: 0x000,
  Version: 0x004,
  DeviceID: 0x008,
  VendorID: 0x00c,
  DeviceFeatures: 0x010,
  DeviceFeaturesSel: 0x014,
  DriverFeatures: 0x020,
  DriverFeaturesSel: 0x024,
  QueueSel: 0x030,
  QueueSizeMax: 0x034,
  QueueSize: 0x038,
  QueueReady: 0x044,
  QueueNotify: 0x050,
  InterruptStatus: 0x060,
  InterruptACK: 0x064,
  Status: 0x070,
  QueueDescLow: 0x080,
  QueueDescHigh: 0x084,
  QueueDriverLow: 0x090,
  QueueDriverHigh: 0x094,
  QueueDeviceLow: 0x0a0,
  QueueDeviceHigh: 0x0a4,
  SHMLenLow: 0x0b0,
  SHMLenHigh: 0x0b4,
  SHMBaseLow: 0x0b8,
  SHMBaseHigh: 0x0bc,
  ConfigGeneration: 0x0fc,
  Config: 0x100,
} as const;

/** "virt", little-endian. */
const MAGIC = 0x74726976;
const VERSION = 2;
/** "TVIS": no registry assigns these, QEMU has its own. */
const VENDOR = 0x53495654;
/** InterruptStatus bits. */
export const INTERRUPT = { USED_BUFFER: 1, CONFIG_CHANGE: 2 } as const;

/** What every device here can do besides its own features. */
const TRANSPORT_FEATURES = FEATURE.VERSION_1 | FEATURE.INDIRECT_DESC | FEATURE.EVENT_IDX;

const RESET = {
  status: 0,
  deviceFeaturesSel: 0,
  driverFeaturesSel: 0,
  /** The driver's features, by 32-bit word. */
  driverFeatures: [0, 0],
  queueSel: 0,
  interruptStatus: 0,
};

export interface VirtioMmioOptions {
  readonly device: VirtioDevice;
  readonly memory: GuestMemory;
  readonly line: InterruptLine;
  /** Told of notifications, and of the device giving up. The accesses themselves are the bus's to tell. */
  readonly observe: (access: Access) => void;
}

/** Offset of the register by which a driver notifies: it writes the queue's number there. */
export const VIRTIO_DOORBELL = REGISTER.QueueNotify;

export class VirtioMmio implements Device, VirtioTransport {
  #state = structuredClone(RESET);
  readonly #queues: readonly Virtqueue[];
  readonly device: VirtioDevice;
  readonly #line: InterruptLine;
  readonly #observe: (access: Access) => void;

  constructor(options: VirtioMmioOptions) {
    this.device = options.device;
    this.#line = options.line;
    this.#observe = options.observe;
    this.#queues = this.device.queueSizes.map((size) => new Virtqueue(options.memory, size));
    this.device.attach(this);
  }

  read(offset: number, size: AccessSize): number {
    if (offset >= REGISTER.Config) return this.#readConfig(offset - REGISTER.Config, size);
    // Control registers take aligned 32-bit accesses only (4.2.2.2); anything else reads as 0.
    return size === 4 ? this.#readRegister(offset) >>> 0 : 0;
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (offset >= REGISTER.Config) {
      this.device.writeConfig(offset - REGISTER.Config, size, value);
    } else if (size === 4) this.#writeRegister(offset, value);
  }

  /** The driver's notification of a queue, however it came. */
  notify(queue: number): void {
    if (queue >= this.#queues.length) return;
    this.#observe({ kind: "queue-notify", device: this.device.name, queue });
    if (this.#serving()) this.device.notify(queue);
  }

  serve(index: number, work: (queue: Virtqueue) => void): void {
    const queue = this.#queues[index];
    if (queue === undefined || !queue.setup.ready || !this.#serving()) return;
    try {
      work(queue);
      if (queue.wantsInterrupt()) this.#interrupt(INTERRUPT.USED_BUFFER);
    } catch (error) {
      if (!(error instanceof VirtqueueError || error instanceof GuestMemoryError)) throw error;
      this.#needsReset(error.message);
    }
  }

  #serving(): boolean {
    const { status } = this.#state;
    return (status & STATUS.DRIVER_OK) !== 0 && (status & STATUS.NEEDS_RESET) === 0;
  }

  #needsReset(reason: string): void {
    const s = this.#state;
    if (s.status & STATUS.NEEDS_RESET) return;
    s.status |= STATUS.NEEDS_RESET;
    this.#observe({ kind: "device-needs-reset", device: this.device.name, reason });
    // A driver that runs is told (2.1.2).
    if (s.status & STATUS.DRIVER_OK) this.#interrupt(INTERRUPT.CONFIG_CHANGE);
  }

  #interrupt(cause: number): void {
    this.#state.interruptStatus |= cause;
    this.#updateLine();
  }

  #updateLine(): void {
    this.#line.set(this.#state.interruptStatus !== 0);
  }

  #readConfig(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.device.readConfig(offset + i) << (8 * i);
    return value >>> 0;
  }

  #readRegister(offset: number): number {
    const s = this.#state;
    const queue = this.#queues[s.queueSel];
    switch (offset) {
      case REGISTER.MagicValue:
        return MAGIC;
      case REGISTER.Version:
        return VERSION;
      case REGISTER.DeviceID:
        return this.device.id;
      case REGISTER.VendorID:
        return VENDOR;
      case REGISTER.DeviceFeatures:
        return word(this.#offered, s.deviceFeaturesSel);
      case REGISTER.QueueSizeMax:
        return queue?.maxSize ?? 0;
      case REGISTER.QueueReady:
        return queue?.setup.ready ? 1 : 0;
      case REGISTER.InterruptStatus:
        return s.interruptStatus;
      case REGISTER.Status:
        return s.status;
      case REGISTER.SHMLenLow: // No shared memory: a length and base of all ones (4.2.2).
      case REGISTER.SHMLenHigh:
      case REGISTER.SHMBaseLow:
      case REGISTER.SHMBaseHigh:
        return 0xffffffff;
      default: // ConfigGeneration too: no configuration here changes by itself.
        return 0;
    }
  }

  #writeRegister(offset: number, value: number): void {
    const s = this.#state;
    switch (offset) {
      case REGISTER.DeviceFeaturesSel:
        s.deviceFeaturesSel = value;
        break;
      case REGISTER.DriverFeaturesSel:
        s.driverFeaturesSel = value;
        break;
      case REGISTER.DriverFeatures:
        // Settled once FEATURES_OK is set (3.1.1).
        if (s.driverFeaturesSel < 2 && (s.status & STATUS.FEATURES_OK) === 0) {
          s.driverFeatures[s.driverFeaturesSel] = value;
        }
        break;
      case REGISTER.QueueSel:
        s.queueSel = value;
        break;
      case REGISTER.QueueReady:
        this.#setReady(value);
        break;
      case REGISTER.QueueNotify:
        this.notify(value);
        break;
      case REGISTER.InterruptACK:
        s.interruptStatus &= ~value;
        this.#updateLine();
        break;
      case REGISTER.Status:
        this.#setStatus(value);
        break;
      default:
        this.#setUpQueue(offset, value);
    }
  }

  #setUpQueue(offset: number, value: number): void {
    const setup = this.#queues[this.#state.queueSel]?.setup;
    // A queue in use keeps what it was set up with (4.2.3.2).
    if (setup === undefined || setup.ready) return;
    switch (offset) {
      case REGISTER.QueueSize:
        setup.size = value;
        break;
      case REGISTER.QueueDescLow:
        setup.descLow = value;
        break;
      case REGISTER.QueueDescHigh:
        setup.descHigh = value;
        break;
      case REGISTER.QueueDriverLow:
        setup.driverLow = value;
        break;
      case REGISTER.QueueDriverHigh:
        setup.driverHigh = value;
        break;
      case REGISTER.QueueDeviceLow:
        setup.deviceLow = value;
        break;
      case REGISTER.QueueDeviceHigh:
        setup.deviceHigh = value;
        break;
    }
  }

  #setReady(value: number): void {
    const queue = this.#queues[this.#state.queueSel];
    if (queue === undefined) return;
    if ((value & 1) === 0) return queue.disable();
    if (queue.setup.ready) return;
    try {
      queue.enable(this.#queueFeatures());
    } catch (error) {
      if (!(error instanceof VirtqueueError)) throw error;
      this.#needsReset(error.message);
    }
  }

  #setStatus(value: number): void {
    const s = this.#state;
    if (value === 0) return this.#reset();
    // A driver takes no bit back but by reset (2.1.1), and NEEDS_RESET is not its to set.
    let status = s.status | value & 0xff & ~STATUS.NEEDS_RESET;
    if ((s.status & STATUS.FEATURES_OK) === 0 && !this.#featuresFit()) {
      status &= ~STATUS.FEATURES_OK;
    }
    // Without agreement on features there is no device to drive (3.1.1, steps 5 to 8).
    if ((status & STATUS.FEATURES_OK) === 0) status &= ~STATUS.DRIVER_OK;
    s.status = status;
  }

  #reset(): void {
    this.#state = structuredClone(RESET);
    for (const queue of this.#queues) queue.reset();
    this.device.reset();
    this.#updateLine();
  }

  get #offered(): bigint {
    return this.device.features | TRANSPORT_FEATURES;
  }

  get #negotiated(): bigint {
    const [low = 0, high = 0] = this.#state.driverFeatures;
    return BigInt(high) << 32n | BigInt(low);
  }

  /** Only what was offered, and VERSION_1: there is no legacy interface. */
  #featuresFit(): boolean {
    const chosen = this.#negotiated;
    return (chosen & ~this.#offered) === 0n && (chosen & FEATURE.VERSION_1) !== 0n;
  }

  #queueFeatures(): { indirect: boolean; eventIndex: boolean } {
    const chosen = this.#negotiated;
    return {
      indirect: (chosen & FEATURE.INDIRECT_DESC) !== 0n,
      eventIndex: (chosen & FEATURE.EVENT_IDX) !== 0n,
    };
  }

  save(): DeviceState {
    return {
      ...structuredClone(this.#state),
      queues: this.#queues.map((queue) => queue.save()),
      device: this.device.save(),
    };
  }

  restore(state: DeviceState): void {
    const { queues, device, ...rest } = state;
    if (!Array.isArray(queues) || queues.length !== this.#queues.length || !isState(device)) {
      throw new TypeError("Saved state must have the device and its queues");
    }
    this.#state = restored(RESET, rest);
    for (const [n, queue] of this.#queues.entries()) {
      queue.restore(queues[n], this.#queueFeatures());
    }
    this.device.restore(device);
    this.#updateLine();
  }
}

/** Word `select` of a feature set; those beyond the second are empty. */
function word(features: bigint, select: number): number {
  return select < 2 ? Number(features >> BigInt(32 * select) & 0xffffffffn) : 0;
}

function isState(value: unknown): value is DeviceState {
  return typeof value === "object" && value !== null;
}

// QEMU's pc-testdev (hw/misc/pc-testdev.c), which test kernels use to check their VMM: a port that echoes, a page to flush,
// interrupt lines by port, and memory that is reached like a device.
import type { AccessSize, Device, DeviceState, InterruptLine } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const TEST_ECHO_PORT = 0xe0;
export const TEST_ECHO_LENGTH = 4;
export const TEST_FLUSH_PORT = 0xe4;
export const TEST_FLUSH_LENGTH = 4;
export const TEST_LINES_PORT = 0x2000;
export const TEST_LINES_LENGTH = 24;
export const TEST_MEMORY_BASE = 0xff000000;
export const TEST_MEMORY_LENGTH = 0x10000;

/** Bytes that stay as they are written. */
class Bytes extends ByteDevice {
  readonly #bytes: Uint8Array;

  constructor(length: number) {
    super();
    this.#bytes = new Uint8Array(length);
  }
  protected readByte(offset: number): number {
    return this.#bytes[offset] ?? OPEN_BYTE;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset < this.#bytes.length) this.#bytes[offset] = value;
  }
  save(): DeviceState {
    const end = this.#bytes.findLastIndex((byte) => byte !== 0) + 1;
    return { bytes: String.fromCharCode(...this.#bytes.subarray(0, end)) };
  }
  restore(state: DeviceState): void {
    const { bytes } = restored({ bytes: "" }, state);
    this.#bytes.fill(0);
    for (let i = 0; i < Math.min(bytes.length, this.#bytes.length); i++) {
      this.#bytes[i] = bytes.charCodeAt(i);
    }
  }
}

/** What the next 32-bit reads get. */
export class TestEcho extends Bytes {
  constructor() {
    super(TEST_ECHO_LENGTH);
  }
}

/** Device memory. */
export class TestMemory extends Bytes {
  constructor() {
    super(TEST_MEMORY_LENGTH);
  }
}

/** Told to drop what a VMM caches of a page: nothing that a guest could see. */
export class TestFlush implements Device {
  read(): number {
    return 0;
  }
  write(): void {}
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}

/** A port for each interrupt line: what is written is its level. */
export class TestLines implements Device {
  constructor(readonly line: (n: number) => InterruptLine | undefined) {}

  read(): number {
    return 0;
  }
  write(offset: number, _size: AccessSize, value: number): void {
    this.line(offset)?.set(value !== 0);
  }
  /** The levels are the interrupt controllers' to keep. */
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}

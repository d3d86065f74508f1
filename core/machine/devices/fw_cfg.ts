// QEMU's fw_cfg by its ports (docs/specs/fw_cfg): numbered items that a guest selects and then reads byte by byte. Test
// kernels ask it how many processors there are.
import type { AccessSize, Device, DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { OPEN_BYTE } from "./byte_device.ts";

/** Selector (16 bits), and data at the next port. */
export const FW_CFG_PORT = 0x510;
export const FW_CFG_LENGTH = 2;

/** Keys of the items there are. */
export const FW_CFG_KEY = {
  signature: 0x00,
  id: 0x01,
  ramSize: 0x03,
  cpuCount: 0x05,
  maxCpus: 0x0f,
  fileDirectory: 0x19,
} as const;
/** Item 1: only the traditional interface is there, no DMA. */
const TRADITIONAL = 1;

/** `size` bytes, little-endian. */
function number(value: number, size: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, BigInt(value), true);
  return new Uint8Array(view.buffer, 0, size);
}

export class FwCfg implements Device {
  readonly #items: ReadonlyMap<number, Uint8Array>;
  #state = { key: 0, offset: 0 };

  /** `memory` is bytes of RAM. */
  constructor({ memory, cpus }: { readonly memory: number; readonly cpus: number }) {
    this.#items = new Map([
      [FW_CFG_KEY.signature, new TextEncoder().encode("QEMU")],
      [FW_CFG_KEY.id, number(TRADITIONAL, 4)],
      [FW_CFG_KEY.ramSize, number(memory, 8)],
      [FW_CFG_KEY.cpuCount, number(cpus, 2)],
      [FW_CFG_KEY.maxCpus, number(cpus, 2)],
      // The number of files, which is the same in either byte order.
      [FW_CFG_KEY.fileDirectory, number(0, 4)],
    ]);
  }

  /** The data port gives the next byte; a wider access takes several. Past the end, and for unknown keys, zero. */
  read(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) {
      value += (offset === 1 ? this.#next() : OPEN_BYTE) * 2 ** (8 * i);
    }
    return value;
  }

  #next(): number {
    const { key, offset } = this.#state;
    const byte = this.#items.get(key)?.[offset];
    if (byte !== undefined) this.#state.offset++;
    return byte ?? 0;
  }

  /** Only the selector is written, and only as a whole. */
  write(offset: number, size: AccessSize, value: number): void {
    if (offset === 0 && size === 2) this.#state = { key: value, offset: 0 };
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

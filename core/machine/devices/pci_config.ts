// PCI configuration space by mechanism 1 (PCI local bus specification 3.0, 3.2.2.3.2), with no device on the bus: the address
// register answers, and whatever it names reads as all ones.
import type { AccessSize, Device, DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";

/** The address register answers whole doublewords only; the byte ports among it belong to others (0xcf9). */
export const PCI_ADDRESS_PORT = 0xcf8;
export const PCI_ADDRESS_LENGTH = 1;
export const PCI_DATA_PORT = 0xcfc;
export const PCI_DATA_LENGTH = 4;

/** Enable, bus, device, function and register. */
const ADDRESS_BITS = 0x80fffffc;
const ONES = { 1: 0xff, 2: 0xffff, 4: 0xffffffff } as const;

export class PciAddress implements Device {
  #state = { address: 0 };

  read(offset: number, size: AccessSize): number {
    return offset === 0 && size === 4 ? this.#state.address : ONES[size];
  }
  write(offset: number, size: AccessSize, value: number): void {
    if (offset === 0 && size === 4) this.#state.address = (value & ADDRESS_BITS) >>> 0;
  }
  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

/** What no device claims: reads end in a master abort, writes are lost. */
export class PciData implements Device {
  read(_offset: number, size: AccessSize): number {
    return ONES[size];
  }
  write(): void {}
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}

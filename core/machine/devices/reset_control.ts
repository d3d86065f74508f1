// Port 0xcf9, the reset control register of PC chip sets: how a guest without ACPI resets the machine.
import type { DeviceState, Power } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const RESET_CONTROL_PORT = 0xcf9;
export const RESET_CONTROL_LENGTH = 1;

/** Bit 2 resets when it rises; bit 1 tells a hard reset from a soft one (82371AB data sheet, 4.1.5). */
const RESET_CPU = 4, WRITABLE = 6;

export class ResetControl extends ByteDevice {
  #state = { value: 0 };

  constructor(readonly power: Power) {
    super();
  }

  protected readByte(offset: number): number {
    return offset === 0 ? this.#state.value : OPEN_BYTE;
  }

  protected writeByte(offset: number, value: number): void {
    if (offset !== 0) return;
    const rises = (value & ~this.#state.value & RESET_CPU) !== 0;
    this.#state.value = value & WRITABLE;
    if (rises) this.power.reset();
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

// Port 0x92, system control port A of the PS/2: the A20 gate and a fast reset.
import type { AddressGate, DeviceState, Power } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const FAST_CONTROL_PORT = 0x92;
export const FAST_CONTROL_LENGTH = 1;

const RESET = 1, A20 = 2;

export class FastControl extends ByteDevice {
  #state = { value: A20 };

  constructor(readonly power: Power, readonly gate: AddressGate) {
    super();
  }

  protected readByte(offset: number): number {
    return offset === 0 ? this.#state.value : OPEN_BYTE;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset !== 0) return;
    const rises = (value & ~this.#state.value & RESET) !== 0;
    this.#state.value = value & (RESET | A20);
    this.gate.set((value & A20) !== 0);
    if (rises) this.power.reset();
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

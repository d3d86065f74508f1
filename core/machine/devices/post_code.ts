// Port 0x80: a latch that shows the last power-on-self-test code. Guests also write it for a short delay, and exit-cost
// measurements read it because nothing happens there (Adams and Agesen 2006 time `in` on it).
import type { DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const POST_CODE_PORT = 0x80;
export const POST_CODE_LENGTH = 1;

export class PostCode extends ByteDevice {
  #state = { code: 0 };

  /** The last code that the guest wrote. */
  get code(): number {
    return this.#state.code;
  }

  protected readByte(offset: number): number {
    return offset === 0 ? this.#state.code : OPEN_BYTE;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset === 0) this.#state.code = value;
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

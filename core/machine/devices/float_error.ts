// Ports 0xF0 and 0xF1, and IRQ 13: how a PC tells of x87 exceptions to software of the 80287's time, which leaves CR0.NE clear
// (SDM vol. 1, appendix D).
import type { DeviceState, InterruptLine } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const FLOAT_ERROR_PORT = 0xf0;
export const FLOAT_ERROR_LENGTH = 2;
export const FLOAT_ERROR_IRQ = 13;

/** Keeps the line high from the FPU's error until software writes to the port. */
export class FloatError extends ByteDevice {
  #state = { error: false };

  constructor(readonly line: InterruptLine) {
    super();
  }

  /** FERR#. */
  raise(): void {
    this.#set(true);
  }

  #set(error: boolean): void {
    this.#state.error = error;
    this.line.set(error);
  }

  protected readByte(): number {
    return OPEN_BYTE;
  }
  protected writeByte(offset: number): void {
    if (offset === 0) this.#set(false);
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

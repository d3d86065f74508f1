// Port 0x61 of a PC: the gate of the PIT's channel 2, the speaker, and two signals to measure time by.
import type { Clock } from "../../base/clock.ts";
import type { DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";
import type { Pit } from "./pit.ts";

export const SYSTEM_CONTROL_PORT = 0x61;
export const SYSTEM_CONTROL_LENGTH = 1;

const GATE_2 = 0x01, WRITABLE = 0x0f, REFRESH = 0x10, OUT_2 = 0x20;

/** Nanoseconds between two changes of the refresh bit, as BIOS delay loops expect (IBM PC AT technical reference). */
const REFRESH_NS = 15_085;

export class SystemControl extends ByteDevice {
  #state = { control: 0 };

  constructor(readonly clock: Clock, readonly pit: Pick<Pit, "setGate2" | "out2">) {
    super();
  }

  protected readByte(offset: number): number {
    if (offset !== 0) return OPEN_BYTE;
    const refresh = Math.floor(this.clock.now() / REFRESH_NS) % 2 === 1;
    return this.#state.control | (refresh ? REFRESH : 0) | (this.pit.out2 ? OUT_2 : 0);
  }

  protected writeByte(offset: number, value: number): void {
    if (offset !== 0) return;
    this.#state.control = value & WRITABLE;
    this.pit.setGate2((value & GATE_2) !== 0);
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

// The debug console of Bochs and QEMU: every byte written is shown. Firmware and small kernels print here before they have a
// driver for anything.
import type { DeviceState, Sink } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice } from "./byte_device.ts";

/** Bochs' port, and that of SeaBIOS. */
export const DEBUG_CONSOLE_PORTS = [0xe9, 0x402] as const;
export const DEBUG_CONSOLE_LENGTH = 1;

/** What a read tells: that there is such a console. */
const PRESENT = 0xe9;

export class DebugConsole extends ByteDevice {
  constructor(readonly sink: Sink) {
    super();
  }
  protected readByte(): number {
    return PRESENT;
  }
  protected writeByte(offset: number, value: number): void {
    if (offset === 0) this.sink.write(Uint8Array.of(value));
  }
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}

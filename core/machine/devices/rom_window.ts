// A ROM on the bus: read, never written.
import type { DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export class RomWindow extends ByteDevice {
  constructor(readonly bytes: Uint8Array) {
    super();
  }
  protected readByte(offset: number): number {
    return this.bytes[offset] ?? OPEN_BYTE;
  }
  protected writeByte(): void {}
  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}

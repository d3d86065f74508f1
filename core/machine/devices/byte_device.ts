// What most ISA devices are: registers one byte wide. A wider access is split into byte cycles at rising offsets, lowest
// first, as the bus of a PC does for an 8-bit card.
import type { AccessSize, Device, DeviceState } from "../device.ts";

/** What an address that no register answers reads as. */
export const OPEN_BYTE = 0xff;

export abstract class ByteDevice implements Device {
  /** One register, 0 to 255; `OPEN_BYTE` where there is none. */
  protected abstract readByte(offset: number): number;
  /** Does nothing where there is no register. `value` is 0 to 255. */
  protected abstract writeByte(offset: number, value: number): void;
  abstract save(): DeviceState;
  abstract restore(state: DeviceState): void;

  read(offset: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value |= this.readByte(offset + i) << (8 * i);
    return value >>> 0;
  }

  write(offset: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.writeByte(offset + i, (value >>> (8 * i)) & 0xff);
  }
}

// QEMU's isa-debug-exit: a write ends the run. The code is the value written, not QEMU's `value * 2 + 1`: that is how
// QEMU's process tells its status, not what the guest said.
import type { AccessSize, Device, DeviceState, Power } from "../device.ts";
import { restored } from "../saved_state.ts";

/** Port where QEMU puts it by convention, and its width. */
export const DEBUG_EXIT_PORT = 0xf4;
export const DEBUG_EXIT_LENGTH = 4;

export class DebugExit implements Device {
  constructor(readonly power: Power) {}

  /** Always 0, as in QEMU. */
  read(_offset: number, _size: AccessSize): number {
    return 0;
  }

  write(_offset: number, _size: AccessSize, value: number): void {
    this.power.off(value);
  }

  save(): DeviceState {
    return {};
  }
  restore(state: DeviceState): void {
    restored({}, state);
  }
}

// The power-management ports that ACPI names (ACPI 6.4, 4.8.3): soft off by the control register, and the timer.
import type { Clock } from "../../base/clock.ts";
import type { DeviceState, Power } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

/** Status and enable, control, and the timer at 8 (`PM_PORTS`). */
export const POWER_MANAGEMENT_LENGTH = 12;

/** Hz. */
export const PM_TIMER_HZ = 3_579_545;
const NS_PER_S = 1_000_000_000;

const STATUS = 0, ENABLE = 2, CONTROL = 4, TIMER = 8;
/** Control, by its high byte: SLP_EN, and the sleep type that the DSDT gives for soft off. */
const SLEEP_ENABLE = 0x20, SLEEP_TYPE = 0x1c, SOFT_OFF = 0;
/** Control: ACPI mode is on, as on machines without SMM. */
const SCI_ENABLE = 1;

export class PowerManagement extends ByteDevice {
  #state = { enable: [0, 0], control: [SCI_ENABLE, 0] };

  constructor(readonly clock: Clock, readonly power: Power) {
    super();
  }

  protected readByte(offset: number): number {
    const { enable, control } = this.#state;
    if (offset < ENABLE) return STATUS;
    if (offset < CONTROL) return enable[offset - ENABLE] ?? 0;
    if (offset < CONTROL + 2) return control[offset - CONTROL] ?? 0;
    if (offset >= TIMER && offset < POWER_MANAGEMENT_LENGTH) {
      return Number(this.#ticks() >> BigInt(8 * (offset - TIMER)) & 0xffn);
    }
    return offset < TIMER ? 0 : OPEN_BYTE;
  }

  #ticks(): bigint {
    return BigInt(this.clock.now()) * BigInt(PM_TIMER_HZ) / BigInt(NS_PER_S);
  }

  /** No event ever happens, so there is no status to clear. */
  protected writeByte(offset: number, value: number): void {
    const { enable, control } = this.#state;
    if (offset >= ENABLE && offset < CONTROL) enable[offset - ENABLE] = value;
    else if (offset === CONTROL) control[0] = value | SCI_ENABLE;
    else if (offset === CONTROL + 1) {
      control[1] = value & ~SLEEP_ENABLE;
      if (value & SLEEP_ENABLE && (value & SLEEP_TYPE) >> 2 === SOFT_OFF) this.power.off(0);
    }
  }

  save(): DeviceState {
    return structuredClone(this.#state);
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

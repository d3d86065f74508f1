// The real-time clock and CMOS memory of a PC (MC146818A data sheet; RBIL's CMOS list for the memory sizes): an index at
// port 0x70, data at 0x71. Its time is the virtual clock's, from a fixed day on, so that every run sees the same.
import type { Clock } from "../../base/clock.ts";
import type { DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

export const RTC_PORT = 0x70;
export const RTC_LENGTH = 2;

/** The time at which the board is powered on: Thursday, 1 January 2026, 00:00 UTC. */
export const RTC_EPOCH_MS = 1_767_225_600_000;

/** Registers of the clock. */
const R = { seconds: 0, minutes: 2, hours: 4, weekday: 6, day: 7, month: 8, year: 9 } as const;
const CENTURY = 0x32;
/** Status registers. */
const A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d;
/** A: 32.768 kHz, 1024 Hz. B: 24 hours, BCD; or binary. D: the battery is good. */
const A_RESET = 0x26, B_24_HOURS = 2, B_BINARY = 4, D_VALID = 0x80;
const PM = 0x80;
const NS_PER_MS = 1_000_000;
const KIB = 1024, MIB = KIB * KIB;

/** Index with the NMI mask in bit 7, which nothing here looks at. */
const INDEX = 0x7f;

export class Rtc extends ByteDevice {
  #state = { index: D, a: A_RESET, b: B_24_HOURS, cmos: new Array<number>(128).fill(0) };

  /** `memory` is bytes of RAM. */
  constructor(readonly clock: Clock, memory: number) {
    super();
    const word = (at: number, value: number) => {
      this.#state.cmos[at] = value & 0xff;
      this.#state.cmos[at + 1] = value >> 8 & 0xff;
    };
    const extended = Math.min(0xffff, Math.max(0, memory - MIB) / KIB);
    word(0x15, 640);
    word(0x17, extended);
    word(0x30, extended);
    // In units of 64 KiB above 16 MiB.
    word(0x34, Math.min(0xffff, Math.max(0, memory - 16 * MIB) / (64 * KIB)));
  }

  protected readByte(offset: number): number {
    if (offset !== 1) return OPEN_BYTE;
    const { index, a, b, cmos } = this.#state;
    switch (index) {
      case A:
        return a;
      case B:
        return b;
      case C: // No interrupt is ever requested.
        return 0;
      case D:
        return D_VALID;
      default:
        return this.#time(index) ?? cmos[index] ?? 0;
    }
  }

  /** A register of the clock, in the format that register B asks for. */
  #time(register: number): number | undefined {
    const now = new Date(RTC_EPOCH_MS + Math.floor(this.clock.now() / NS_PER_MS));
    switch (register) {
      case R.seconds:
        return this.#format(now.getUTCSeconds());
      case R.minutes:
        return this.#format(now.getUTCMinutes());
      case R.hours:
        return this.#hours(now.getUTCHours());
      case R.weekday:
        return this.#format(now.getUTCDay() + 1);
      case R.day:
        return this.#format(now.getUTCDate());
      case R.month:
        return this.#format(now.getUTCMonth() + 1);
      case R.year:
        return this.#format(now.getUTCFullYear() % 100);
      case CENTURY:
        return this.#format(Math.floor(now.getUTCFullYear() / 100));
      default:
        return undefined;
    }
  }

  #hours(hours: number): number {
    if (this.#state.b & B_24_HOURS) return this.#format(hours);
    return this.#format(hours % 12 || 12) | (hours >= 12 ? PM : 0);
  }

  #format(value: number): number {
    return this.#state.b & B_BINARY ? value : Math.floor(value / 10) << 4 | value % 10;
  }

  /** The clock can't be set: it would no longer agree with the virtual one. */
  protected writeByte(offset: number, value: number): void {
    const s = this.#state;
    if (offset === 0) s.index = value & INDEX;
    else if (offset === 1) {
      if (s.index === A) s.a = value & 0x7f;
      else if (s.index === B) s.b = value;
      else if (s.index !== C && s.index !== D) s.cmos[s.index] = value;
    }
  }

  save(): DeviceState {
    return structuredClone(this.#state);
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

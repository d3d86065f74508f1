// The real-time clock and CMOS memory of a PC (MC146818A data sheet; RBIL's CMOS list for the memory sizes): an index at
// port 0x70, data at 0x71. It runs on the virtual clock from a fixed day on, so that every run sees the same, and interrupts
// periodically, at every second, and at its alarm.
import type { Alarm, AlarmClock } from "../../base/clock.ts";
import type { DeviceState, InterruptLine } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";
import { FORMAT, nextAlarm, registersAt, TIME, timeOf } from "./rtc_time.ts";

export const RTC_PORT = 0x70;
export const RTC_LENGTH = 2;
export const RTC_IRQ = 8;

/** The time at which the board is powered on: Thursday, 1 January 2026, 00:00 UTC. */
export const RTC_EPOCH_MS = 1_767_225_600_000;

/** Status registers. */
const A = 0x0a, B = 0x0b, C = 0x0c, D = 0x0d;
/** A: an update is in progress; the rate of periodic interrupts. After reset: 32.768 kHz, 1024 Hz. */
const IN_PROGRESS = 0x80, RATE = 0x0f, A_RESET = 0x26;
/** B: the time is being set; interrupts that are wanted stand where they do in C. */
const SETTING = 0x80;
/** C: which interrupts have come up, and whether one was wanted. */
const PERIODIC = 0x40, AT_ALARM = 0x20, UPDATED = 0x10, REQUESTED = 0x80;
const CAUSES = PERIODIC | AT_ALARM | UPDATED;
/** D: the battery is good. */
const D_VALID = 0x80;
/** So long before the time changes, A says so. */
const NOTICE_NS = 244_000;
const NS_PER_S = 1e9, CRYSTAL_HZ = 32_768;
const KIB = 1024, MIB = KIB * KIB;

/** Index with the NMI mask in bit 7, which nothing here looks at. */
const INDEX = 0x7f;

const TIME_REGISTERS: ReadonlySet<number> = new Set(Object.values(TIME));

export class Rtc extends ByteDevice {
  #state = {
    index: D,
    a: A_RESET,
    b: FORMAT.HOURS_24 as number,
    c: 0,
    /** Seconds since 1970 when the virtual clock was at zero. */
    start: RTC_EPOCH_MS / 1000,
    /** Whole seconds and periods of the virtual clock that C knows of. */
    seconds: 0,
    periods: 0,
    /** While the time is being set, its registers; alarms and everything else always. */
    cmos: new Array<number>(128).fill(0),
  };
  #requested = false;
  #alarm: Alarm | undefined;

  /** `memory` is bytes of RAM. */
  constructor(readonly clock: AlarmClock, readonly line: InterruptLine, memory: number) {
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
    const s = this.#state;
    switch (s.index) {
      case A:
        return s.a | (this.#isUpdating() ? IN_PROGRESS : 0);
      case B:
        return s.b;
      case C:
        return this.#acknowledge();
      case D:
        return D_VALID;
      default:
        if (TIME_REGISTERS.has(s.index) && !(s.b & SETTING)) {
          return registersAt(this.#now(), s.b)[s.index] ?? 0;
        }
        return s.cmos[s.index] ?? 0;
    }
  }

  protected writeByte(offset: number, value: number): void {
    const s = this.#state;
    if (offset === 0) s.index = value & INDEX;
    if (offset !== 1) return;
    this.#advance();
    switch (s.index) {
      case A:
        s.a = value & ~IN_PROGRESS;
        s.periods = this.#periods();
        break;
      case B:
        this.#control(value);
        break;
      case C:
      case D:
        return;
      default:
        this.#put(s.index, value);
    }
    this.#request();
  }

  /** Seconds since 1970. */
  #now(): number {
    return this.#state.start + Math.floor(this.clock.now() / NS_PER_S);
  }

  #isUpdating(): boolean {
    return !(this.#state.b & SETTING) && this.clock.now() % NS_PER_S >= NS_PER_S - NOTICE_NS;
  }

  /** While the time is being set it stands still; then it goes on from what was put there. */
  #control(value: number): void {
    const s = this.#state;
    const before = s.b;
    s.b = value;
    if (value & ~before & SETTING) this.#hold();
    // The data sheet says so: who sets the time wants no interrupt of its update.
    if (value & SETTING) s.b &= ~UPDATED;
    if (before & ~value & SETTING) this.#set();
  }

  #put(register: number, value: number): void {
    const s = this.#state;
    const running = TIME_REGISTERS.has(register) && !(s.b & SETTING);
    if (running) this.#hold();
    s.cmos[register] = value;
    if (running) this.#set();
  }

  /** Puts the time into the registers. */
  #hold(): void {
    const { cmos, b } = this.#state;
    for (const [register, value] of Object.entries(registersAt(this.#now(), b))) {
      cmos[Number(register)] = value;
    }
  }

  /** Takes it from them. */
  #set(): void {
    const s = this.#state;
    s.start += timeOf(s.cmos, s.b) - this.#now();
  }

  /** Nanoseconds of a period; undefined where none is chosen. The two fastest rates are those of 8 and 9 again. */
  #period(): number | undefined {
    const rate = this.#state.a & RATE;
    if (rate === 0) return undefined;
    return 2 ** ((rate < 3 ? rate + 7 : rate) - 1) * NS_PER_S / CRYSTAL_HZ;
  }

  #periods(): number {
    const period = this.#period();
    return period === undefined ? 0 : Math.floor(this.clock.now() / period);
  }

  /** Brings C up to the time. */
  #advance(): void {
    const s = this.#state;
    const seconds = Math.floor(this.clock.now() / NS_PER_S);
    if (seconds > s.seconds && !(s.b & SETTING)) {
      s.c |= UPDATED;
      const due = nextAlarm(s.start + s.seconds, s.cmos, s.b);
      if (due !== undefined && due <= s.start + seconds) s.c |= AT_ALARM;
    }
    s.seconds = seconds;
    const periods = this.#periods();
    if (periods > s.periods) s.c |= PERIODIC;
    s.periods = periods;
  }

  /** C is clear once it has been read, and so is the request. */
  #acknowledge(): number {
    this.#advance();
    const s = this.#state;
    const value = s.c | (s.c & s.b & CAUSES ? REQUESTED : 0);
    s.c = 0;
    this.#request();
    return value;
  }

  /** Raises the line if an interrupt is due; else, an alarm is set for the next that will be. */
  #request(): void {
    const { b, c } = this.#state;
    const requested = (b & c & CAUSES) !== 0;
    // Others may drive this line too: it is let alone unless there is news.
    if (requested !== this.#requested) this.line.set(this.#requested = requested);
    this.#alarm?.cancel();
    this.#alarm = undefined;
    const next = requested ? undefined : this.#next();
    if (next === undefined) return;
    this.#alarm = this.clock.setAlarm(next, () => {
      this.#advance();
      this.#request();
    });
  }

  /** When the next wanted interrupt is due, in nanoseconds. */
  #next(): number | undefined {
    const s = this.#state;
    const due: number[] = [];
    const period = this.#period();
    if (s.b & PERIODIC && period !== undefined) due.push(Math.ceil((s.periods + 1) * period));
    if (s.b & UPDATED && !(s.b & SETTING)) due.push((s.seconds + 1) * NS_PER_S);
    if (s.b & AT_ALARM && !(s.b & SETTING)) {
      const at = nextAlarm(s.start + s.seconds, s.cmos, s.b);
      if (at !== undefined) due.push((at - s.start) * NS_PER_S);
    }
    return due.length > 0 ? Math.min(...due) : undefined;
  }

  save(): DeviceState {
    return structuredClone(this.#state);
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
    this.#request();
  }
}

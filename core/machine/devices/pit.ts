// The 8254 interval timer of a PC: channel 0 interrupts, channel 1 once refreshed memory, channel 2 drives the speaker.
// It runs on the board's virtual time; ticks are derived from nanoseconds by integer arithmetic, so that nothing drifts.
import type { Alarm, AlarmClock } from "../../base/clock.ts";
import type { DeviceState, InterruptLine } from "../device.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";
import { PitChannel } from "./pit_channel.ts";

export const PIT_PORT = 0x40;
export const PIT_LENGTH = 4;
/** PIC input of channel 0. */
export const PIT_IRQ = 0;
/** Input clock in Hz: a third of NTSC's colour carrier (IBM PC AT technical reference). */
export const PIT_HZ = 1_193_182;

const NS_PER_SECOND = 1_000_000_000;
const CONTROL = 3;
const READ_BACK = 3;
/** Read-back command: both are active low. */
const NO_COUNT = 0x20, NO_STATUS = 0x10;

/** Whole ticks of the PIT's clock since power on. Seconds apart from the rest: products stay below 2^53. */
export function pitTicks(ns: number): number {
  const rest = ns % NS_PER_SECOND;
  const seconds = (ns - rest) / NS_PER_SECOND;
  return seconds * PIT_HZ + Math.floor(rest * PIT_HZ / NS_PER_SECOND);
}

/** The first nanosecond of a tick: the least `ns` for which `pitTicks(ns) === tick`. */
export function pitTickTime(tick: number): number {
  const rest = tick % PIT_HZ;
  return (tick - rest) / PIT_HZ * NS_PER_SECOND + Math.ceil(rest * NS_PER_SECOND / PIT_HZ);
}

export class Pit extends ByteDevice {
  readonly #channels = [new PitChannel(), new PitChannel(), new PitChannel()] as const;
  #alarm: Alarm | undefined;

  /** `line` follows OUT of channel 0. */
  constructor(readonly clock: AlarmClock, readonly line: InterruptLine) {
    super();
    this.line.set(true);
    // The gate of channel 2 is a bit of port 0x61, low after reset.
    this.#channels[2].setGate(false, 0);
  }

  /** Gate of channel 2, the only one that is not tied high. */
  setGate2(level: boolean): void {
    this.#channels[2].setGate(level, this.#tick());
  }

  /** OUT of channel 2: the speaker, and bit 5 of port 0x61. */
  get out2(): boolean {
    return this.#channels[2].out(this.#tick());
  }

  protected readByte(offset: number): number {
    // The control register can't be read: nothing drives the bus.
    return this.#channels[offset]?.readByte(this.#tick()) ?? OPEN_BYTE;
  }

  protected writeByte(offset: number, value: number): void {
    const tick = this.#tick();
    if (offset === CONTROL) {
      this.#control(value, tick);
      return;
    }
    this.#channels[offset]?.writeCount(value, tick);
    if (offset === 0) this.#follow();
  }

  #control(value: number, tick: number): void {
    const select = value >> 6;
    if (select === READ_BACK) {
      for (const [n, channel] of this.#channels.entries()) {
        if ((value & (2 << n)) === 0) continue;
        if ((value & NO_COUNT) === 0) channel.latchCount(tick);
        if ((value & NO_STATUS) === 0) channel.latchStatus(tick);
      }
      return;
    }
    const channel = this.#channels[select];
    if (channel === undefined) return;
    if ((value & 0x30) === 0) channel.latchCount(tick);
    else channel.control(value);
    if (select === 0) this.#follow();
  }

  #tick(): number {
    return pitTicks(this.clock.now());
  }

  /** The guest has programmed channel 0: the line is as OUT is now. */
  #follow(): void {
    this.line.set(this.#channels[0].out(this.#tick()));
    this.#schedule();
  }

  /** Comes back when OUT rises. It falls unseen: a controller waits for the edge, and every alarm costs the host. */
  #schedule(): void {
    this.#alarm?.cancel();
    const rise = this.#channels[0].nextRise(this.#tick());
    this.#alarm = rise === undefined
      ? undefined
      : this.clock.setAlarm(pitTickTime(rise), () => this.#fire());
  }

  /** One pulse, however late: time moves in steps, of a VM exit's length for instance, and may have passed several. */
  #fire(): void {
    this.line.set(false);
    this.line.set(true);
    this.#schedule();
  }

  save(): DeviceState {
    return { channels: this.#channels.map((channel) => channel.save()) };
  }

  /** The clock must tell the time at which the state was saved. The line is left as it is: its controller knows it. */
  restore(state: DeviceState): void {
    const { channels } = state;
    if (!Array.isArray(channels) || channels.length !== this.#channels.length) {
      throw new TypeError("Saved state must have three channels");
    }
    for (const [n, channel] of this.#channels.entries()) channel.restore(channels[n]);
    this.#schedule();
  }
}

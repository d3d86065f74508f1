// One counter of an 8254. Its state is worked out from the tick it was loaded at, never counted down, so that it costs
// nothing while it runs and a period never drifts. After Intel's 8254 data sheet (order number 231164).
import { restored } from "../saved_state.ts";

/** Counting modes by number; 6 and 7 are 2 and 3. */
const TERMINAL_COUNT = 0,
  ONE_SHOT = 1,
  RATE = 2,
  SQUARE = 3,
  SOFTWARE_STROBE = 4,
  HARDWARE_STROBE = 5;
/** Control word bits 5:4: which bytes are read and written. */
const LOW_ONLY = 1, HIGH_ONLY = 2;

/** No tick: a counter that has not been loaded or triggered. */
const NEVER = -1;

const RESET = {
  /** After power on it is undefined; a PC's firmware leaves OUT high, as in this mode. */
  mode: RATE,
  access: 3,
  bcd: false,
  gate: true,
  /** Clock pulses of one round: 1 to 65536. */
  period: 65536,
  /** Tick at which the counting element was loaded; what it holds is a function of the ticks since. */
  start: NEVER,
  /** A count for the next round (modes 2 and 3), and the tick at which that begins; 0 is none. */
  nextPeriod: 0,
  nextStart: NEVER,
  /** Ticks done when the gate stopped the count (modes 0 and 4); -1 while it runs. */
  stoppedAfter: NEVER,
  /** First byte of a two-byte count, waiting for the second; -1 is none. */
  lowByte: -1,
  /** Latched count, and how many of its bytes are still to be read. */
  latch: 0,
  latchLeft: 0,
  status: -1,
  /** The next unlatched read of a two-byte count is the high byte. */
  readHigh: false,
};

export type PitChannelState = typeof RESET;

export class PitChannel {
  #state: PitChannelState = { ...RESET };

  /** A control word for this counter, other than a latch command. */
  control(word: number): void {
    const mode = (word >> 1) & 7;
    this.#state = {
      ...RESET,
      gate: this.#state.gate,
      mode: mode > 5 ? mode - 4 : mode,
      access: (word >> 4) & 3,
      bcd: (word & 1) !== 0,
    };
  }

  /** A byte of the count, written during tick `now`; the count is loaded at the next one. */
  writeCount(byte: number, now: number): void {
    const s = this.#state;
    if (s.access === LOW_ONLY) this.#load(byte, now);
    else if (s.access === HIGH_ONLY) this.#load(byte << 8, now);
    else if (s.lowByte < 0) {
      s.lowByte = byte;
      // In mode 0 the first byte stops the count and OUT is low at once.
      if (s.mode === TERMINAL_COUNT) s.start = NEVER;
    } else {
      this.#load(s.lowByte | byte << 8, now);
      s.lowByte = -1;
    }
  }

  #load(written: number, now: number): void {
    const s = this.#state;
    const count = s.bcd ? fromBcd(written) : written;
    const period = count === 0 ? (s.bcd ? 10_000 : 65_536) : count;
    switch (s.mode) {
      case RATE:
      case SQUARE:
        this.#advance(now);
        // A running counter finishes its round first. (In mode 3 the real one does so at the half.)
        if (s.start !== NEVER && now >= s.start && s.gate) {
          s.nextPeriod = period;
          s.nextStart = now - (now - s.start) % s.period + s.period;
          return;
        }
        break;
      case ONE_SHOT:
      case HARDWARE_STROBE:
        // The count waits for the gate; one under way is not disturbed.
        s.nextPeriod = period;
        return;
    }
    s.period = period;
    s.start = s.gate || s.mode === TERMINAL_COUNT || s.mode === SOFTWARE_STROBE ? now + 1 : NEVER;
    s.stoppedAfter = s.gate ? NEVER : 0;
  }

  /** The gate input changes during tick `now`. */
  setGate(level: boolean, now: number): void {
    const s = this.#state;
    if (level === s.gate) return;
    this.#advance(now);
    s.gate = level;
    switch (s.mode) {
      case TERMINAL_COUNT:
      case SOFTWARE_STROBE:
        if (s.start === NEVER) break;
        if (!level) s.stoppedAfter = Math.max(0, now - s.start);
        else {
          s.start = now + 1 - Math.max(0, s.stoppedAfter);
          s.stoppedAfter = NEVER;
        }
        break;
      case RATE:
      case SQUARE:
        if (level) s.start = now + 1;
        break;
      default: // A rising edge triggers.
        if (level && (s.nextPeriod > 0 || s.start !== NEVER)) {
          if (s.nextPeriod > 0) s.period = s.nextPeriod;
          s.nextPeriod = 0;
          s.start = now + 1;
        }
    }
  }

  /** OUT during tick `now`. */
  out(now: number): boolean {
    this.#advance(now);
    const s = this.#state;
    const elapsed = this.#elapsed(now);
    switch (s.mode) {
      case TERMINAL_COUNT:
        return elapsed !== NEVER && elapsed >= s.period;
      case ONE_SHOT:
        return elapsed === NEVER || elapsed >= s.period;
      case RATE:
        return !s.gate || elapsed === NEVER || elapsed % s.period !== s.period - 1;
      case SQUARE:
        return !s.gate || elapsed === NEVER || elapsed % s.period < Math.ceil(s.period / 2);
      default: // Strobes: low for the one tick at which the count is through.
        return elapsed !== s.period;
    }
  }

  /** The next tick after `now` at which OUT rises, or undefined when it won't. */
  nextRise(now: number): number | undefined {
    this.#advance(now);
    const s = this.#state;
    if (s.start === NEVER || s.stoppedAfter !== NEVER) return undefined;
    const elapsed = Math.max(0, now - s.start);
    switch (s.mode) {
      case RATE:
      case SQUARE:
        // A period of one tick has no room for a low one; the data sheet forbids it.
        return s.gate && s.period > 1
          ? s.start + elapsed - elapsed % s.period + s.period
          : undefined;
      case TERMINAL_COUNT:
      case ONE_SHOT:
        return elapsed < s.period ? s.start + s.period : undefined;
      default:
        return elapsed <= s.period ? s.start + s.period + 1 : undefined;
    }
  }

  /** A counter latch command; while a latched count has not been read, it does nothing. */
  latchCount(now: number): void {
    const s = this.#state;
    if (s.latchLeft > 0) return;
    s.latch = this.#count(now);
    s.latchLeft = s.access === 3 ? 2 : 1;
  }

  /** The status part of a read-back command. */
  latchStatus(now: number): void {
    const s = this.#state;
    if (s.status >= 0) return;
    const notLoaded = s.start === NEVER || now < s.start || s.nextPeriod > 0;
    s.status = (this.out(now) ? 0x80 : 0) | (notLoaded ? 0x40 : 0) | s.access << 4 | s.mode << 1 |
      (s.bcd ? 1 : 0);
  }

  /** What the counter's port reads as: latched status, then latched count, then the live count. */
  readByte(now: number): number {
    const s = this.#state;
    if (s.status >= 0) {
      const status = s.status;
      s.status = -1;
      return status;
    }
    const count = s.latchLeft > 0 ? s.latch : this.#count(now);
    let high = s.access === HIGH_ONLY;
    if (s.access === 3) {
      high = s.latchLeft > 0 ? s.latchLeft === 1 : s.readHigh;
      if (s.latchLeft === 0) s.readHigh = !s.readHigh;
    }
    if (s.latchLeft > 0) s.latchLeft--;
    return high ? count >> 8 : count & 0xff;
  }

  /** Begins the round that a count written during the last one was for. */
  #advance(now: number): void {
    const s = this.#state;
    if (s.nextStart === NEVER || now < s.nextStart) return;
    s.start = s.nextStart;
    s.period = s.nextPeriod;
    s.nextStart = NEVER;
    s.nextPeriod = 0;
  }

  /** Ticks counted since the load; `NEVER` before it. */
  #elapsed(now: number): number {
    const s = this.#state;
    if (s.start === NEVER) return NEVER;
    if (s.stoppedAfter !== NEVER) return s.stoppedAfter;
    return now < s.start ? NEVER : now - s.start;
  }

  /** The 16 bits that the counting element shows. */
  #count(now: number): number {
    this.#advance(now);
    const s = this.#state;
    const elapsed = Math.max(0, this.#elapsed(now));
    const modulus = s.bcd ? 10_000 : 65_536;
    let value: number;
    if (s.mode === RATE) value = s.period - elapsed % s.period;
    else if (s.mode === SQUARE) {
      // Counts by two, twice a round; an odd count starts from one less.
      const half = Math.ceil(s.period / 2);
      value = s.period - s.period % 2 - 2 * (elapsed % s.period % half);
    } else value = s.period - elapsed % modulus + modulus;
    value %= modulus;
    return s.bcd ? toBcd(value) : value;
  }

  save(): PitChannelState {
    return { ...this.#state };
  }
  restore(state: unknown): void {
    this.#state = restored(RESET, state, "channel");
  }
}

/** Four decimal digits; a nibble above nine counts as it would in the counter, by its weight. */
function fromBcd(value: number): number {
  let result = 0;
  for (let shift = 12; shift >= 0; shift -= 4) result = result * 10 + ((value >> shift) & 15);
  return result;
}

function toBcd(value: number): number {
  let result = 0;
  for (let shift = 0; shift < 16; shift += 4) {
    result |= value % 10 << shift;
    value = Math.floor(value / 10);
  }
  return result;
}

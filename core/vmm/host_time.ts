// The time of a run on an engine that does not count instructions: what the host's clock measures, and what the guest has
// slept without its VMM doing so. The board's nanosecond is a tick of the guest's time stamp counter (base/clock.ts), so that
// the board goes faster than the host where that counter can't be slowed down. CPUs side by side have this one time: it
// is what the clock says, however many of them run, and skipped only while all sleep.
import type { GuestTime } from "./virtual_time.ts";

/** Measured time of one run, in nanoseconds. */
export class HostTime implements GuestTime {
  readonly #clock: () => number;
  readonly #started: number;
  /** The board's nanoseconds in a millisecond of the host's. */
  readonly #rate: number;
  #slept = 0;
  #last = 0;

  /** `clock` tells milliseconds; `rate` is how much faster the board goes than the host. */
  constructor(clock: () => number, rate = 1) {
    this.#clock = clock;
    this.#rate = rate * 1e6;
    this.#started = clock();
  }

  now(): number {
    const now = Math.floor((this.#clock() - this.#started) * this.#rate) + this.#slept;
    return this.#last = Math.max(this.#last, now);
  }

  instructionsUntil(): number {
    return Infinity;
  }

  nanosecondsUntil(deadline: number): number {
    return Math.max(1, (deadline - this.now()) * 1e6 / this.#rate);
  }

  /** What things cost, they have cost already. */
  exit(): void {}
  native(): void {}
  inlined(): void {}

  idleUntil(deadline: number): void {
    this.#slept += Math.max(0, deadline - this.now());
  }
}

// The time of a run on an engine that does not count instructions: what the host's clock measures, and what the guest has
// slept without its VMM doing so.
import type { GuestTime } from "./virtual_time.ts";

/** Measured time of one run, in nanoseconds. */
export class HostTime implements GuestTime {
  readonly #clock: () => number;
  readonly #started: number;
  #slept = 0;
  #last = 0;

  /** `clock` tells milliseconds. */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#started = clock();
  }

  now(): number {
    const now = Math.floor((this.#clock() - this.#started) * 1e6) + this.#slept;
    return this.#last = Math.max(this.#last, now);
  }

  instructionsUntil(): number {
    return Infinity;
  }

  nanosecondsUntil(deadline: number): number {
    return Math.max(1, deadline - this.now());
  }

  /** What things cost, they have cost already. */
  exit(): void {}
  native(): void {}
  inlined(): void {}

  idleUntil(deadline: number): void {
    this.#slept += Math.max(0, deadline - this.now());
  }
}

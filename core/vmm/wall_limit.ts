// When a run has taken too long by the clock on the wall, or nobody wants it any more. It only ever ends a run; nothing else
// depends on it.

/** Instructions in one stretch at most, so that limits on measured time hold. */
export const LONGEST_STRETCH = 5_000_000;
/** The same where instructions are not counted, in nanoseconds. */
export const LONGEST_HOST_STRETCH = 20_000_000;
/** Measured time is looked at every so many times, as it costs more than a quick exit does, and after every long stretch. */
const CALLS_PER_LOOK = 256;

/** The limit on measured time of one run. */
export class WallLimit {
  readonly #started: number;
  #calls = 0;
  #retired = 0;
  #time = 0;

  /** `clock` tells milliseconds; `abort` is asked now and then. */
  constructor(
    readonly limitMs: number,
    readonly clock: () => number,
    readonly abort: () => boolean = () => false,
  ) {
    this.#started = clock();
  }

  /** Milliseconds so far. */
  get spent(): number {
    return this.clock() - this.#started;
  }

  /** Is it over? `retired` instructions so far, and the time (nanoseconds) of a guest that goes by the host's. */
  isOver(retired: number, hostTime: number | undefined): boolean {
    const now = hostTime ?? 0;
    const long = retired - this.#retired >= LONGEST_STRETCH ||
      now - this.#time >= LONGEST_HOST_STRETCH;
    if (!long && this.#calls++ % CALLS_PER_LOOK !== 0) return false;
    this.#retired = retired;
    this.#time = now;
    return this.spent > this.limitMs || this.abort();
  }
}

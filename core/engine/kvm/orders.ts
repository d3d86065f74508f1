// What the thread of a machine's monitor and those of its CPUs say to each other, in memory that they share: run this CPU; it has
// come back. Nobody's event loop takes part, as the one never comes to it and the others need not.

/** As many CPUs as a machine may have (core/scenario). */
export const MAX_THREADS = 8;
/** Words, 32 bits wide: one counts what has been done by all; then so many of each thread. */
const RUNG = 0, FIRST = 8, WORDS = 8;
/** Of a thread: how often it was given something to do, and how often it has done it; what; how it ended, and as which of all. */
const GIVEN = 0, DONE = 1, DESCRIPTOR = 2, ERRNO = 3, ARRIVAL = 4;
/** The thread's number, once it listens; whether there is nothing more to do. */
const THREAD = 5, ENDED = 6;

export const ORDERS_BYTES = 4 * (FIRST + WORDS * MAX_THREADS);

/** A thread is at a place, from 0 on. */
export class Orders {
  readonly #words: Int32Array;

  /** Of {@linkcode ORDERS_BYTES} bytes, zeros at first. */
  constructor(readonly memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  #load(place: number, word: number): number {
    return Atomics.load(this.#words, FIRST + place * WORDS + word);
  }
  #store(place: number, word: number, value: number): void {
    Atomics.store(this.#words, FIRST + place * WORDS + word, value);
  }
  #ring(): void {
    Atomics.add(this.#words, RUNG, 1);
    Atomics.notify(this.#words, RUNG);
  }

  // ---- The CPU's thread --------------------------------------------------------------------------------------------

  /** It listens from now on; `thread` is its number for the kernel. */
  listen(place: number, thread: number): void {
    this.#store(place, THREAD, thread);
    this.#ring();
  }

  /** Waits until there is a CPU to run: its file descriptor. Undefined: that was all. */
  take(place: number): number | undefined {
    for (;;) {
      const given = this.#load(place, GIVEN);
      if (this.#load(place, ENDED) !== 0) return undefined;
      const done = this.#load(place, DONE);
      if (given !== done) return this.#load(place, DESCRIPTOR);
      Atomics.wait(this.#words, FIRST + place * WORDS + GIVEN, given);
    }
  }

  /** What came of it: 0, or the error number. */
  done(place: number, errno: number): void {
    this.#store(place, ERRNO, errno);
    this.#store(place, ARRIVAL, Atomics.load(this.#words, RUNG));
    this.#store(place, DONE, this.#load(place, DONE) + 1 | 0);
    this.#ring();
  }

  // ---- The others --------------------------------------------------------------------------------------------------

  /** Number of the thread at a place; 0: it does not listen yet. */
  thread(place: number): number {
    return this.#load(place, THREAD);
  }

  /** A CPU to run. */
  give(place: number, descriptor: number): void {
    this.#store(place, DESCRIPTOR, descriptor);
    this.#store(place, GIVEN, this.#load(place, GIVEN) + 1 | 0);
    Atomics.notify(this.#words, FIRST + place * WORDS + GIVEN);
  }

  isDone(place: number): boolean {
    return this.#load(place, GIVEN) === this.#load(place, DONE);
  }
  errno(place: number): number {
    return this.#load(place, ERRNO);
  }
  /** Less is earlier; at the same time, neither is. */
  arrival(place: number): number {
    return this.#load(place, ARRIVAL);
  }

  /** Tells a thread that it has nothing more to do. */
  end(place: number): void {
    this.#store(place, ENDED, 1);
    // It must not go to sleep over it: nobody gives it anything else any more.
    this.#store(place, GIVEN, this.#load(place, DONE) - 1 | 0);
    Atomics.notify(this.#words, FIRST + place * WORDS + GIVEN);
  }

  /** How often something has been done: to be read before one looks what. */
  get rung(): number {
    return Atomics.load(this.#words, RUNG);
  }
  /** Waits until more has been done than that, so many milliseconds at most. */
  wait(rung: number, ms: number): void {
    if (ms > 0) Atomics.wait(this.#words, RUNG, rung, ms);
  }

  /** Waits until so many threads listen; false: they don't, after so long. */
  listening(count: number, ms: number): boolean {
    const until = performance.now() + ms;
    for (;;) {
      const { rung } = this;
      let place = 0;
      while (place < count && this.thread(place) !== 0) place++;
      if (place === count) return true;
      if (performance.now() >= until) return false;
      this.wait(rung, until - performance.now());
    }
  }
}

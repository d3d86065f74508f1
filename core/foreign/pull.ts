// The chunks of a stream, with patience: a read that is late goes on, for the next call. Used by `child.ts`.

/** The next chunk; undefined at the end; `late`: nothing in time; `woken`: somebody called `wake`. */
export type Pulled = Uint8Array | undefined | "late" | "woken";

/** Reads a stream, for one caller at a time. */
export class Pull {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #read: Promise<Uint8Array | undefined> | undefined;
  /** Whoever waits stops waiting. */
  wake: () => void = () => {};

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** Waits for at most `ms`, which may be infinite. */
  next(ms: number): Promise<Pulled> {
    const read = this.#read ??= this.#reader.read().then(({ value }) => value, () => undefined);
    return new Promise((resolve) => {
      let waiting = true;
      const settle = (value: Pulled) => {
        waiting = false;
        clearTimeout(timer);
        resolve(value);
      };
      const timer = ms === Infinity ? undefined : setTimeout(() => settle("late"), Math.max(0, ms));
      this.wake = () => waiting && settle("woken");
      read.then((chunk) => {
        if (!waiting) return;
        this.#read = undefined;
        settle(chunk);
      });
    });
  }

  /** Nothing more is read. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

// Where cases wait for their turn when subjects run side by side: those that go by the host's clock one after the other, as
// load is what they feel; the others as many at a time as there are processors to spare.
import { isTimeVirtual, type SubjectId } from "../base/backend.ts";

/** How many cases may run at once. */
export interface Widths {
  /** Of those that go by virtual time; those by the host's have one lane. */
  readonly virtual: number;
}

/** Two queues; whoever comes first is served first. */
export class Lanes {
  readonly #virtual: Lane;
  readonly #host = new Lane(1);

  /** Nobody waits yet. */
  constructor({ virtual }: Widths) {
    this.#virtual = new Lane(virtual);
  }

  /** Does it when it is the subject's turn. Undefined: the lanes were closed before that. */
  run<T>(id: SubjectId, work: () => Promise<T>): Promise<T | undefined> {
    return (isTimeVirtual(id) ? this.#virtual : this.#host).run(work);
  }

  /** Nothing is begun any more. */
  close(): void {
    this.#virtual.close();
    this.#host.close();
  }
}

class Lane {
  #free: number;
  #closed = false;
  readonly #waiting: (() => void)[] = [];

  constructor(width: number) {
    this.#free = width;
  }

  async run<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return this.#closed ? undefined : await work();
    } finally {
      // The place goes on to the next, if somebody waits for it.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    }
  }

  close(): void {
    this.#closed = true;
  }
}

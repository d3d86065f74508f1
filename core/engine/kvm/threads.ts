// Threads for the CPUs of machines that have several: made once, for one machine after the other. Whoever makes them ends them.
import { libc } from "./libc.ts";
import { MAX_THREADS, Orders, ORDERS_BYTES } from "./orders.ts";
import { SIGNAL } from "./interrupter.ts";

/** What a thread is told first. */
export interface Assignment {
  readonly orders: SharedArrayBuffer;
  readonly place: number;
}

export class Threads {
  readonly orders = new Orders(new SharedArrayBuffer(ORDERS_BYTES));
  readonly #workers: Worker[] = [];

  /** So many there are at least. New ones listen a while later; one that dies never does. */
  grow(count: number): void {
    if (count > MAX_THREADS) throw new RangeError(`A machine has at most ${MAX_THREADS} CPUs`);
    for (let place = this.#workers.length; place < count; place++) {
      const worker = new Worker(new URL("./cpu_thread.ts", import.meta.url).href, {
        type: "module",
        name: `cpu${place}`,
      });
      worker.onerror = (event) => event.preventDefault();
      worker.postMessage({ orders: this.orders.memory, place } satisfies Assignment);
      this.#workers.push(worker);
    }
  }

  /** Are there that many, listening? */
  get count(): number {
    return this.#workers.length;
  }

  /** Numbers of those that live, for the kernel. */
  alive(): number[] {
    const system = this.#workers.length > 0 ? libc() : undefined;
    return this.#workers.flatMap((_, place) => {
      const thread = this.orders.thread(place);
      return thread !== 0 && system?.signalThread(thread, 0) ? [thread] : [];
    });
  }

  /** Ends them, wherever they are. They are gone a moment later. */
  end(): void {
    for (const place of this.#workers.keys()) this.orders.end(place);
    for (const thread of this.alive()) libc().signalThread(thread, SIGNAL);
    for (const worker of this.#workers.splice(0)) worker.terminate();
  }
}

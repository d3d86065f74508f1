// Threads for the CPUs of machines that have several: made once, for one machine after the other. Whoever makes them ends them.
import { libc } from "./libc.ts";
import { MAX_THREADS, Orders, ORDERS_BYTES } from "./orders.ts";
import { SIGNAL } from "./interrupter.ts";

/** What a thread is told first. */
export interface Assignment {
  readonly orders: SharedArrayBuffer;
  readonly place: number;
}

/** Milliseconds between two looks at threads that begin or end. */
const PAUSE_MS = 5;

export class Threads {
  readonly orders = new Orders(new SharedArrayBuffer(ORDERS_BYTES));
  readonly #workers: Worker[] = [];
  #died: string | undefined;

  /** So many there are at least. New ones listen a while later; one that dies never does. */
  grow(count: number): void {
    if (count > MAX_THREADS) throw new RangeError(`A machine has at most ${MAX_THREADS} CPUs`);
    for (let place = this.#workers.length; place < count; place++) {
      const worker = new Worker(new URL("./cpu_thread.ts", import.meta.url).href, {
        type: "module",
        name: `cpu${place}`,
      });
      worker.onerror = (event) => {
        event.preventDefault();
        this.#died = event.message;
      };
      worker.postMessage({ orders: this.orders.memory, place } satisfies Assignment);
      this.#workers.push(worker);
    }
  }

  /** Waits until all listen; why they don't, after so many milliseconds. */
  async ready(ms: number): Promise<string | undefined> {
    const until = performance.now() + ms;
    while (!this.orders.listening(this.#workers.length, 0)) {
      if (this.#died !== undefined) return this.#died;
      if (performance.now() > until) return "The threads of CPUs do not start";
      await pause();
    }
    return undefined;
  }

  /** Ends them, wherever they are: they are gone a moment later. Their numbers, for the kernel. */
  end(): readonly number[] {
    const numbers: number[] = [];
    for (const [place, worker] of this.#workers.entries()) {
      this.orders.end(place);
      const thread = this.orders.thread(place);
      if (thread !== 0) {
        numbers.push(thread);
        libc().signalThread(thread, SIGNAL);
      }
      worker.terminate();
    }
    this.#workers.length = 0;
    return numbers;
  }
}

/** Waits until these threads are gone; false: they are not, after so many milliseconds. */
export async function gone(threads: readonly number[], ms: number): Promise<boolean> {
  const until = performance.now() + ms;
  while (threads.some((thread) => libc().signalThread(thread, 0))) {
    if (performance.now() > until) return false;
    await pause();
  }
  return true;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

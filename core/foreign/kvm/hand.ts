// The thread of a KVM subject as whoever hands it work sees it: one piece after the other, each answered within a time, or the
// thread is given up.
import type { FromWorker, ToWorker } from "./messages.ts";

/** What came of a piece of work: an answer, or none in time; or the thread has died. */
export type Answer = FromWorker | { readonly type: "silent" } | {
  readonly type: "died";
  readonly why: string;
};

/** Milliseconds after which a thread that is told to close is ended. */
const CLOSE_MS = 1_000;

export class Hand {
  #worker: Worker | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `ms` count from when the work is begun; `begun` is told of that. */
  ask(message: ToWorker, ms: number, begun: () => void = () => {}): Promise<Answer> {
    const answer = this.#last.then(() => {
      begun();
      return this.#ask(message, ms);
    });
    this.#last = answer;
    return answer;
  }

  #ask(message: ToWorker, ms: number): Promise<Answer> {
    const worker = this.#worker ??= new Worker(new URL("./worker.ts", import.meta.url).href, {
      type: "module",
    });
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => this.#abandon(worker, resolve, { type: "silent" }), ms);
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#abandon(worker, resolve, { type: "died", why: event.message });
    };
    try {
      worker.postMessage(message);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#abandon(worker, resolve, { type: "died", why });
    }
    return promise.finally(() => clearTimeout(timer));
  }

  #abandon(worker: Worker, resolve: (answer: Answer) => void, answer: Answer): void {
    worker.terminate();
    if (this.#worker === worker) this.#worker = undefined;
    resolve(answer);
  }

  /** Ends the thread, and with it what it holds. */
  async close(): Promise<void> {
    await this.#last;
    const worker = this.#worker;
    if (!worker) return;
    await this.ask({ type: "close" }, CLOSE_MS);
    worker.terminate();
    this.#worker = undefined;
  }
}

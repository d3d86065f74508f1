// The thread of a KVM subject as whoever hands it work sees it: one piece after the other, each answered within a time, or the
// thread is given up.
import { Holdings, HOLDINGS_BYTES } from "../../engine/kvm/holdings.ts";
import { gone, Threads } from "../../engine/kvm/threads.ts";
import { freeLeftovers } from "./leftovers.ts";
import type { FromWorker, Request, ToWorker } from "./messages.ts";

/** What came of a piece of work: an answer, or none in time; or the thread has died. */
export type Answer = FromWorker | { readonly type: "silent" } | {
  readonly type: "died";
  readonly why: string;
};

/** Milliseconds that a thread may take until it can be asked: where Deno checks types, on a busy machine, that is long. */
const START_MS = 60_000;
/** Milliseconds after which a thread that is told to close is ended. */
const CLOSE_MS = 1_000;

export class Hand {
  readonly #script: string;
  #worker: Worker | undefined;
  #holdings = newHoldings();
  /** Of the CPUs of machines that have several. Here, as a thread that is busy takes a second to start others (Deno 2.9). */
  #threads = new Threads();
  #last: Promise<unknown> = Promise.resolve();

  /** `script`: what the thread runs, for tests. */
  constructor(script = new URL("./worker.ts", import.meta.url).href) {
    this.#script = script;
  }

  /** `ms` count from when the work is begun; `begun` is told of that. */
  ask(message: ToWorker, ms: number, begun: () => void = () => {}): Promise<Answer> {
    const answer = this.#last.then(() => this.#ask(message, ms, begun));
    this.#last = answer;
    return answer;
  }

  async #ask(message: ToWorker, ms: number, begun: () => void): Promise<Answer> {
    if (!this.#worker) {
      const answer = await this.#start();
      if (answer.type !== "ready") return answer;
    }
    const request = { ...message, holdings: this.#holdings.memory } satisfies Request;
    const cpus = message.type === "run" ? message.job.image.cpus ?? 1 : 1;
    const why = cpus > 1 ? await this.#startCpus(cpus) : undefined;
    if (why !== undefined) return { type: "died", why };
    begun();
    const orders = cpus > 1 ? { orders: this.#threads.orders.memory } : {};
    return await this.#answer(ms, (worker) => worker.postMessage({ ...request, ...orders }));
  }

  /** Why they do not start, if they don't. */
  async #startCpus(cpus: number): Promise<string | undefined> {
    this.#threads.grow(cpus);
    const why = await this.#threads.ready(START_MS);
    if (why !== undefined) this.#endCpus();
    return why;
  }

  /** The numbers of their threads. */
  #endCpus(): readonly number[] {
    const threads = this.#threads;
    this.#threads = new Threads();
    return threads.end();
  }

  /** Its code has been loaded, and checked where Deno does that, once it says so. */
  #start(): Promise<Answer> {
    this.#worker = new Worker(this.#script, { type: "module" });
    this.#holdings = newHoldings();
    return this.#answer(START_MS, () => {});
  }

  #answer(ms: number, say: (worker: Worker) => void): Promise<Answer> {
    const worker = this.#worker;
    if (!worker) return Promise.resolve({ type: "died", why: "There is no thread" });
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const timer = setTimeout(() => this.#abandon(worker, resolve, { type: "silent" }), ms);
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#abandon(worker, resolve, { type: "died", why: event.message });
    };
    try {
      say(worker);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#abandon(worker, resolve, { type: "died", why });
    }
    return promise.finally(() => clearTimeout(timer));
  }

  #abandon(worker: Worker, resolve: (answer: Answer | Promise<Answer>) => void, answer: Answer) {
    worker.terminate();
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    const threads = this.#threads;
    this.#threads = new Threads();
    resolve(freeLeftovers(this.#holdings, threads).then(() => answer));
  }

  /** Ends the thread, and with it what it holds, after what it has been asked to do; what is asked for later starts another. */
  close(): Promise<void> {
    const closed = this.#last.then(() => this.#close());
    this.#last = closed;
    return closed;
  }

  async #close(): Promise<void> {
    if (!this.#worker) return;
    await this.#ask({ type: "close" }, CLOSE_MS, () => {});
    this.#worker?.terminate();
    this.#worker = undefined;
    await gone(this.#endCpus(), CLOSE_MS);
  }
}

function newHoldings(): Holdings {
  return new Holdings(new SharedArrayBuffer(HOLDINGS_BYTES));
}

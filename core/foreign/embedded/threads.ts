// The back ends on the embedded engine in threads of their own, where others run beside them: a guest that computes would keep
// this thread from hearing of theirs.
import type { Backend } from "../../base/backend.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import type { Trace } from "../../trace/trace.ts";
import { BACKEND_DESCRIPTIONS } from "../../vmm/descriptions.ts";
import type { Job, Subject } from "../../vmm/subject.ts";

/** What a thread is given. */
export interface Work {
  readonly backend: Backend;
  readonly job: Omit<Job, "abort">;
}

/** What comes of it: `lacks` and `defect` are sentences without a full stop. */
export type Answer = { readonly trace: Trace } | { readonly lacks: string } | {
  readonly defect: string;
};

/** Threads, as many as there are runs at once; each serves any back end. */
export class Threads {
  readonly #idle: Worker[] = [];
  /** Each ends a run that is under way. */
  readonly #busy = new Map<Worker, (answer: Answer) => void>();

  /** The back end, in one of them. It can't be asked to abort a run: a run keeps its own limits. */
  subject(backend: Backend): Subject {
    const { summary, platform, unsuited } = BACKEND_DESCRIPTIONS[backend];
    return {
      id: { backend, engine: "embedded" },
      summary,
      platform,
      probe: () => ({ available: true }),
      unsuited,
      run: (job) => this.#run(backend, job),
      close: () => this.#close(),
    };
  }

  async #run(backend: Backend, { abort: _, ...job }: Job): Promise<Trace> {
    const { guest, limits } = job.group;
    const work: Work = { backend, job: { ...job, group: { guest, limits } } };
    const answer = await this.#answer(work);
    if ("trace" in answer) return answer.trace;
    if ("lacks" in answer) throw new SubjectLacks(answer.lacks);
    throw new Error(answer.defect);
  }

  #answer(work: Work): Promise<Answer> {
    const worker = this.#idle.pop() ?? newThread();
    const { promise, resolve } = Promise.withResolvers<Answer>();
    this.#busy.set(worker, resolve);
    const end = (answer: Answer) => {
      this.#busy.delete(worker);
      resolve(answer);
    };
    worker.onmessage = ({ data }: MessageEvent<Answer>) => {
      // Who answers when it has been closed is not wanted any more.
      if (this.#busy.has(worker)) this.#idle.push(worker);
      end(data);
    };
    // A thread dies of a defect only, or of memory.
    worker.onerror = (event) => {
      event.preventDefault();
      worker.terminate();
      end({ defect: `The thread failed: ${event.message}` });
    };
    worker.postMessage(work);
    return promise;
  }

  #close(): Promise<void> {
    for (const worker of this.#idle.splice(0)) worker.terminate();
    for (const [worker, end] of this.#busy) {
      worker.terminate();
      end({ defect: "The run was ended" });
    }
    this.#busy.clear();
    return Promise.resolve();
  }
}

function newThread(): Worker {
  return new Worker(new URL("./worker.ts", import.meta.url).href, { type: "module" });
}

// Runs groups in several workers. Results are handed on in the order of the suite, whoever finishes first.
import { judgeGroup, type RunOutcome } from "../judge/judge.ts";
import type { Ledger } from "../judge/known/deviation.ts";
import type { GroupResult } from "../judge/result.ts";
import type { CaseGroup } from "../scenario/case.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";

export interface ToWorker {
  readonly index: number;
  readonly group: CaseGroup;
  readonly profile: CostProfile;
  readonly ledger: Ledger;
}

export type FromWorker =
  | { readonly type: "case"; readonly id: string }
  | { readonly type: "result"; readonly index: number; readonly result: GroupResult };

export interface PoolOptions {
  readonly groups: readonly CaseGroup[];
  readonly jobs: number;
  readonly profile: CostProfile;
  readonly ledger: Ledger;
  readonly onCase: (id: string) => void;
  /** In order of `groups`. False: no more of them are wanted. */
  readonly onResult: (index: number, result: GroupResult) => boolean;
}

/** Resolves when every group has run, or no more are wanted. */
export function runInPool(options: PoolOptions): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  new Pool(options, resolve).start();
  return promise;
}

class Pool {
  #next = 0;
  #delivered = 0;
  #workers = new Set<Worker>();
  readonly #waiting = new Map<number, GroupResult>();

  constructor(readonly options: PoolOptions, readonly done: () => void) {}

  start(): void {
    const { groups, jobs } = this.options;
    if (groups.length === 0) this.done();
    for (let i = 0; i < Math.min(jobs, groups.length); i++) this.#hire();
  }

  /** Starts a worker and gives it work for as long as there is any. */
  #hire(): void {
    const worker = new Worker(new URL("./worker.ts", import.meta.url).href, { type: "module" });
    this.#workers.add(worker);
    let current = -1;
    const { profile, ledger } = this.options;
    const next = () => {
      const group = this.options.groups[this.#next];
      if (!group) return this.#dismiss(worker);
      current = this.#next++;
      const message: ToWorker = { index: current, group, profile, ledger };
      worker.postMessage(message);
    };
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === "case") return this.options.onCase(data.id);
      this.#finish(data.index, data.result);
      next();
    };
    // A worker dies of a defect only, or of memory: its group is an error, and another takes its place.
    worker.onerror = (event) => {
      event.preventDefault();
      this.#dismiss(worker);
      const group = this.options.groups[current];
      if (!group) return;
      const error = `The worker failed: ${event.message}`;
      const outcomes = group.cases.map((c): [string, RunOutcome] => [c.id, { error }]);
      if (this.#next < this.options.groups.length) this.#hire();
      this.#finish(current, judgeGroup(group, new Map(outcomes)));
    };
    next();
  }

  #dismiss(worker: Worker): void {
    worker.terminate();
    this.#workers.delete(worker);
  }

  #finish(index: number, result: GroupResult): void {
    this.#waiting.set(index, result);
    for (;;) {
      const ready = this.#waiting.get(this.#delivered);
      if (!ready) return;
      this.#waiting.delete(this.#delivered);
      const wanted = this.options.onResult(this.#delivered++, ready);
      if (!wanted || this.#delivered === this.options.groups.length) return this.#close();
    }
  }

  #close(): void {
    this.#next = this.options.groups.length;
    for (const worker of this.#workers) this.#dismiss(worker);
    this.done();
  }
}

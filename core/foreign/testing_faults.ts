// Whether a subject survives whatever happens to it: many runs, several at a time, each with a verdict in time. For every
// foreign subject's tests.
import { assert } from "@std/assert";
import { SubjectLacks } from "../engine/lacks.ts";
import type { Trace } from "../trace/trace.ts";
import type { Job, Subject } from "../vmm/subject.ts";

/** What came of a run; `lacks` is the reason of one that was skipped. */
export type Result = { readonly trace: Trace } | { readonly lacks: string };

/** One run that is to go wrong, or not. */
export interface FaultStep {
  /** Of what kind it is. */
  readonly kind: string;
  readonly job: Job;
  /** Milliseconds in which there has to be a verdict. */
  readonly within: number;
  /** Throws if the verdict is not what it should be. */
  readonly check: (result: Result) => void;
  /** Done to it while it runs; to be over soon after it. */
  readonly meanwhile?: () => Promise<void>;
  /** Told as soon as there is a verdict. */
  readonly over?: () => void;
}

/** Runs on one subject, one after the other; those of a list at once. */
export interface FaultTrial {
  /** For messages. */
  readonly name: string;
  readonly subject: Subject;
  readonly steps: readonly (FaultStep | readonly FaultStep[])[];
  /** Done before the first one. */
  readonly open?: () => Promise<void>;
  /** Done when the subject is closed. */
  readonly settle?: () => Promise<void>;
}

/** What came of many. */
export interface Endured {
  readonly runs: number;
  /** How many of each kind of end; those that were skipped are `lacks`. */
  readonly ends: ReadonlyMap<string, number>;
  /** How many of each kind. */
  readonly kinds: ReadonlyMap<string, number>;
}

/** Of a reason, in the list of ends. */
const TOLD = 40;

/** Makes trials, `parallel` at a time, each subject closed at its end. */
export async function endure(trials: Iterable<FaultTrial>, parallel: number): Promise<Endured> {
  const queue = trials[Symbol.iterator]();
  const ends = new Map<string, number>(), kinds = new Map<string, number>();
  const count = (counts: Map<string, number>, what: string) =>
    counts.set(what, (counts.get(what) ?? 0) + 1);
  let runs = 0;
  const worker = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const { name, subject, steps, open, settle } = next.value;
      try {
        await open?.();
        for (const step of steps) {
          const atOnce = [step].flat();
          for (const end of await Promise.all(atOnce.map((one) => endureOne(name, subject, one)))) {
            count(ends, end);
            runs++;
          }
          for (const { kind } of atOnce) count(kinds, kind);
        }
      } finally {
        await subject.close?.();
        await settle?.();
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return { runs, ends, kinds };
}

async function endureOne(name: string, subject: Subject, step: FaultStep): Promise<string> {
  const { job, within, check, meanwhile, over } = step;
  const started = performance.now();
  let result: Result;
  const done = meanwhile?.();
  try {
    result = { trace: await subject.run(job) };
  } catch (error) {
    if (!(error instanceof SubjectLacks)) {
      throw new Error(`${name}: the harness failed: ${String(error)}`, { cause: error });
    }
    result = { lacks: error.message };
  }
  over?.();
  const took = performance.now() - started;
  await done;
  assert(took < within, `${name}: a verdict after ${Math.round(took)} ms, not ${within}`);
  try {
    check(result);
  } catch (error) {
    throw new Error(`${name}: a wrong verdict: ${String(error)}`, { cause: error });
  }
  if ("lacks" in result) return "lacks";
  const { end } = result.trace;
  if (end.kind === "crash") return `crash (${end.reason.slice(0, TOLD)})`;
  return end.kind === "limit" ? `limit on ${end.limit}` : end.kind;
}

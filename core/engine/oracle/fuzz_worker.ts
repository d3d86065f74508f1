// One thread of `deno task fuzz`: programs from a range, with where it is in shared memory, so that a hang is seen.
import { fuzz, type FuzzResult } from "./fuzz_trial.ts";

/** What a worker is asked to do. */
export interface FuzzTask {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** One Int32: the program that runs now. */
  readonly progress: SharedArrayBuffer;
}

/** What it says at the end. */
export interface FuzzTally {
  readonly retired: number;
  /** How often a program's last stop was of each kind, by start and kind. */
  readonly ends: Readonly<Record<string, number>>;
  readonly breaches: readonly { readonly index: number; readonly message: string }[];
}

/** Runs the programs from `from` up to, not including, `to`. */
export function fuzzRange({ seed, from, to }: FuzzTask, now: (index: number) => void): FuzzTally {
  const ends: Record<string, number> = {};
  const breaches: { index: number; message: string }[] = [];
  let retired = 0;
  for (let index = from; index < to; index++) {
    now(index);
    let result: FuzzResult;
    try {
      result = fuzz(seed, index);
    } catch (error) {
      breaches.push({
        index,
        message: error instanceof Error ? error.stack ?? error.message : `${error}`,
      });
      continue;
    }
    retired += result.retired;
    const end = `${result.start} ${result.stops.at(-1)}`;
    ends[end] = (ends[end] ?? 0) + 1;
  }
  return { retired, ends, breaches };
}

/** The part of a worker's global scope that this needs. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<FuzzTask>) => void) | null;
  postMessage(message: FuzzTally): void;
}

if ("WorkerGlobalScope" in globalThis) {
  const scope = globalThis as unknown as WorkerScope;
  scope.onmessage = ({ data }) => {
    const progress = new Int32Array(data.progress);
    scope.postMessage(fuzzRange(data, (index) => Atomics.store(progress, 0, index)));
  };
}

// Whether a subject survives whatever happens to it: many runs, several at a time, each with a verdict in time; and a census of what
// this process holds, before and after. For every foreign subject's tests.
import { assert, assertEquals } from "@std/assert";
import { SubjectLacks } from "../engine/lacks.ts";
import type { Trace } from "../trace/trace.ts";
import type { Job, Subject } from "../vmm/subject.ts";

/** What this process holds. */
export interface Census {
  /** Processes that live, by command line: those that have it (see {@linkcode census}) in their arguments. */
  readonly processes: readonly string[];
  readonly descriptors: number;
  /** Resident bytes. */
  readonly memory: number;
}

/** Counts what there is. `token`: an argument by which the processes are known that are to be gone, whoever their parent is. */
export async function census(token: string): Promise<Census> {
  const processes: string[] = [];
  for (const { name } of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === Deno.pid) continue;
    const [command, stat] = await Promise.all([
      Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => ""),
      Deno.readTextFile(`/proc/${name}/stat`).catch(() => ""),
    ]);
    // The dead whose parent has not asked for their status have no command line.
    if (command.split("\0").includes(token)) {
      processes.push(
        `${name} ${command.replaceAll("\0", " ")} ${/\) (\w)/.exec(stat)?.[1] ?? "?"}`,
      );
    }
  }
  const descriptors = [...Deno.readDirSync("/proc/self/fd")].length;
  return { processes, descriptors, memory: Deno.memoryUsage().rss };
}

/** What came of a run; `lacks` is the reason of one that was skipped. */
export type Result = { readonly trace: Trace } | { readonly lacks: string };

/** One run that is to go wrong, or not. */
export interface FaultStep {
  readonly job: Job;
  /** Milliseconds in which there has to be a verdict. */
  readonly within: number;
  /** Throws if the verdict is not what it should be. */
  readonly check: (result: Result) => void;
}

/** Runs on one subject, one after the other. */
export interface FaultTrial {
  /** For messages. */
  readonly name: string;
  readonly subject: Subject;
  readonly steps: readonly FaultStep[];
  /** Ends the subject afterwards, if it is this trial's own. */
  readonly close?: true;
}

/** Makes trials, `parallel` at a time; tells how many runs there were. */
export async function endure(trials: Iterable<FaultTrial>, parallel: number): Promise<number> {
  const queue = trials[Symbol.iterator]();
  let runs = 0;
  const worker = async () => {
    for (let next = queue.next(); !next.done; next = queue.next()) {
      const { name, subject, steps, close } = next.value;
      try {
        for (const step of steps) await endureOne(name, subject, step);
      } finally {
        if (close) await subject.close?.();
      }
      runs += steps.length;
    }
  };
  await Promise.all(Array.from({ length: parallel }, worker));
  return runs;
}

async function endureOne(name: string, subject: Subject, step: FaultStep): Promise<void> {
  const { job, within, check } = step;
  const started = performance.now();
  let result: Result;
  try {
    result = { trace: await subject.run(job) };
  } catch (error) {
    if (!(error instanceof SubjectLacks)) {
      throw new Error(`${name}: the harness failed: ${String(error)}`, { cause: error });
    }
    result = { lacks: error.message };
  }
  const took = performance.now() - started;
  assert(took < within, `${name}: a verdict after ${Math.round(took)} ms, not ${within}`);
  try {
    check(result);
  } catch (error) {
    throw new Error(`${name}: a wrong verdict: ${String(error)}`, { cause: error });
  }
}

/** Memory that a run of many may leave to the collector and to caches. */
const SLACK_BYTES = 200 << 20;

/** Holds that nothing is left of what was made since `before`: waits a moment for processes that are dying. */
export async function assertNothingLeft(before: Census, token: string): Promise<void> {
  let after = await census(token);
  for (let tries = 0; tries < 100 && after.processes.length > 0; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    after = await census(token);
  }
  assertEquals(after.processes, [], "processes that are left");
  assert(
    after.descriptors <= before.descriptors,
    `${after.descriptors} file descriptors, where there were ${before.descriptors}`,
  );
  const grown = after.memory - before.memory;
  assert(grown < SLACK_BYTES, `${Math.round(grown / 2 ** 20)} MiB of memory more`);
}

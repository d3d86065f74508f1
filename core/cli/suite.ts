// Runs a suite from start to end. The programmatic way in: `trivisor run` adds a reporter and an exit code.
import { DEFAULT_ENGINE, isTimeVirtual } from "../base/backend.ts";
import { exitCodeOf, summarize, type Summary } from "../judge/verdict.ts";
import { Subjects } from "../foreign/subjects.ts";
import { NO_LEDGER } from "../judge/judge.ts";
import type { Ledger } from "../judge/known/deviation.ts";
import { Lanes } from "../judge/lanes.ts";
import type { GroupResult } from "../judge/result.ts";
import type { Reporter, SuiteOutcome } from "../report/reporter.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { prepare, type Prepared, type SelectionOptions } from "./prepare.ts";
import { filesFor } from "./project.ts";
import { loadProfile } from "./profile.ts";

export interface SuiteOptions extends SelectionOptions {
  /** Name or path of the cost profile. */
  readonly profile?: string;
  /** How many workers; 1 runs all in this thread. Absent: by the size of the suite. */
  readonly jobs?: number;
  /** Stop after the first group that does not pass. */
  readonly failFast?: boolean;
  /** What runs the cases, perhaps started already; closed at the end. */
  readonly subjects?: Subjects;
  /** Folder of the ledger of deviations; absent: the one that ships. */
  readonly known?: string;
}

/** Below so many groups a second worker costs more (it loads everything again) than it brings. */
const GROUPS_WORTH_A_WORKER = 100;
/** The same for engines side by side, where the embedded one gets a thread. */
const GROUPS_WORTH_A_LANE = 20;
/** So many may be begun and not judged, for lanes to have something to do; each keeps its traces. */
const GROUPS_AT_ONCE = 16;

/** Runs what `options` select, and tells `reporter` as it goes. */
export async function runSuite(
  options: SuiteOptions,
  reporter: Reporter = { report: () => {} },
): Promise<SuiteOutcome> {
  const started = performance.now();
  const profile = await loadProfile(options.profile);
  const prepared = await prepare(options);
  const groups = prepared.flatMap((p) => "group" in p ? [p.group] : []);
  const local = groups.every(({ cases }) => cases.every(({ engine }) => engine === DEFAULT_ENGINE));
  reporter.report({
    type: "started",
    groups: prepared.length,
    cases: groups.reduce((sum, group) => sum + group.cases.length, 0),
  });
  const results: GroupResult[] = [];
  const take: Take = (result) => {
    results.push(result);
    reporter.report({ type: "group", result });
    return !(options.failFast && exitCodeOf(summaryOf([result]), 0) !== 0);
  };
  const onCase = (id: string) => reporter.report({ type: "case", id });
  const way = wayOf(groups, local, options.jobs);
  const { subjects = new Subjects() } = options;
  try {
    if (way.by === "lanes") await subjects.useThreads();
    // Other VMMs start and are tried while this thread has to load what it needs.
    const ready = way.by === "workers" ? undefined : subjects.expect(toRun(groups));
    // The ledger that ships has nothing on the embedded engine, and takes a while to read.
    const ledger = local && options.known === undefined
      ? NO_LEDGER
      : (await import("./known.ts")).loadLedger(options.known);
    const running = { profile, ledger, subjects, onCase };
    if (way.by === "workers") await runByWorkers(prepared, take, way.jobs, running);
    else {
      const lanes = way.by === "lanes" ? way.lanes : undefined;
      await runHere(prepared, take, { ...running, ...(lanes ? { lanes } : {}) }, ready);
    }
  } finally {
    await subjects.close();
  }
  const outcome: SuiteOutcome = {
    groups: results,
    summary: summaryOf(results),
    harnessErrors: results.flatMap((g) => g.cases).filter((c) => c.fault?.by === "harness").length,
    profile: profile.name,
    wallNs: (performance.now() - started) * 1e6,
  };
  reporter.report({ type: "finished", outcome });
  return outcome;
}

/** Verdicts of cases, of comparisons that did not pass, and of scenarios that could not be read. */
function summaryOf(results: readonly GroupResult[]): Summary {
  return summarize(results.flatMap((group) => [
    ...(group.fault ? [group.verdict] : []),
    ...group.cases.map((c) => c.verdict),
    ...group.comparisons.map((c) => c.verdict).filter((v) => v === "failed" || v === "error"),
  ]));
}

/** How many things run at once, and where. */
type Way =
  /** Groups in this thread, one after the other. */
  | { readonly by: "turns" }
  /** Groups of the embedded engine in workers. */
  | { readonly by: "workers"; readonly jobs: number }
  /** Cases on several engines: processes and threads of other engines are this thread's. */
  | { readonly by: "lanes"; readonly lanes: Lanes };

/** Of the cases that nobody has skipped yet. */
function toRun(groups: readonly CaseGroup[]): Case[] {
  return groups.flatMap(({ cases }) => cases.filter(({ skip }) => skip === undefined));
}

function wayOf(groups: readonly CaseGroup[], local: boolean, jobs?: number): Way {
  const cores = navigator.hardwareConcurrency;
  if (local) {
    const wanted = jobs ?? (groups.length < GROUPS_WORTH_A_WORKER ? 1 : cores);
    const count = Math.min(wanted, groups.length);
    return count > 1 ? { by: "workers", jobs: count } : { by: "turns" };
  }
  const wanted = jobs ?? (groups.length < GROUPS_WORTH_A_LANE ? 1 : cores);
  if (wanted <= 1) return { by: "turns" };
  // One is kept free for those that feel load, where there are any.
  const feels = toRun(groups).some((c) => !isTimeVirtual(c));
  return { by: "lanes", lanes: new Lanes({ virtual: feels ? wanted - 1 : wanted }) };
}

interface Running {
  readonly profile: CostProfile;
  readonly ledger: Ledger;
  readonly subjects: Subjects;
  readonly lanes?: Lanes;
  readonly onCase: (id: string) => void;
}

/** Takes a result, in the order of the suite; tells whether more are wanted. */
type Take = (result: GroupResult) => boolean;

/** Runs what is prepared from this thread: a group after the other, or several, whose cases wait in lanes. */
async function runHere(
  prepared: readonly Prepared[],
  take: Take,
  running: Running,
  ready: Promise<void> | undefined,
): Promise<void> {
  // The assembler is loaded only now: who lists scenarios, or has none that can be read, never needs it.
  const { runGroup } = await import("../judge/run_group.ts");
  // A guest that runs in this thread would keep it from hearing of those that are tried.
  await ready;
  const { lanes, subjects } = running;
  const begun: Promise<GroupResult>[] = [];
  const most = lanes ? GROUPS_AT_ONCE : 1;
  let wanted = true;
  for (let next = 0; wanted && (next < prepared.length || begun.length > 0);) {
    for (let item; begun.length < most && (item = prepared[next]); next++) {
      begun.push(
        "broken" in item
          ? Promise.resolve(item.broken)
          : runGroup(item.group, { ...running, filesFor }),
      );
    }
    const first = begun.shift();
    wanted = first !== undefined && take(await first);
  }
  if (begun.length === 0) return;
  // Nobody waits for what is still under way.
  lanes?.close();
  await subjects.close();
  await Promise.all(begun);
}

/** Runs groups of the embedded engine in so many workers. */
async function runByWorkers(
  prepared: readonly Prepared[],
  take: Take,
  jobs: number,
  { profile, ledger, onCase }: Running,
): Promise<void> {
  const { runInPool } = await import("./pool.ts");
  const groups = prepared.flatMap((p) => "group" in p ? [p.group] : []);
  let at = 0;
  /** Hands on the scenarios that could not be read and stand before the next group. */
  const takeBroken = (): boolean => {
    for (let item = prepared[at]; item && "broken" in item; item = prepared[++at]) {
      if (!take(item.broken)) return false;
    }
    return true;
  };
  if (!takeBroken()) return;
  const onResult = (_: number, result: GroupResult) => {
    at++;
    return take(result) && takeBroken();
  };
  await runInPool({ groups, jobs, profile, ledger, onCase, onResult });
}

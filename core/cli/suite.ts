// Runs a suite from start to end. The programmatic way in: `trivisor run` adds a reporter and an exit code.
import { DEFAULT_ENGINE } from "../base/backend.ts";
import { exitCodeOf, summarize, type Summary } from "../judge/verdict.ts";
import { type SubjectOptions, Subjects } from "../foreign/subjects.ts";
import { NO_LEDGER } from "../judge/judge.ts";
import type { Ledger } from "../judge/known/deviation.ts";
import type { GroupResult } from "../judge/result.ts";
import type { Reporter, SuiteOutcome } from "../report/reporter.ts";
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
  /** What is outside of trivisor. */
  readonly outside?: SubjectOptions;
  /** Folder of the ledger of deviations; absent: the one that ships. */
  readonly known?: string;
}

/** Below so many groups a second worker costs more (it loads everything again) than it brings. */
const GROUPS_WORTH_A_WORKER = 100;

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
  // The one that ships has nothing on the embedded engine, and takes a while to read.
  const ledger = local && options.known === undefined
    ? NO_LEDGER
    : (await import("./known.ts")).loadLedger(options.known);
  reporter.report({
    type: "started",
    groups: prepared.length,
    cases: groups.reduce((sum, group) => sum + group.cases.length, 0),
  });
  const results: GroupResult[] = [];
  /** Takes results in order; tells whether more are wanted. */
  const take = (result: GroupResult): boolean => {
    results.push(result);
    reporter.report({ type: "group", result });
    return !(options.failFast && exitCodeOf(summaryOf([result]), 0) !== 0);
  };
  const onCase = (id: string) => reporter.report({ type: "case", id });
  // Processes and workers of other engines are this thread's.
  const jobs = local ? Math.min(options.jobs ?? jobsFor(groups.length), groups.length) : 1;
  const subjects = new Subjects(options.outside);
  try {
    await runAll(prepared, take, { jobs, profile, ledger, subjects, onCase });
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

function jobsFor(groups: number): number {
  return groups < GROUPS_WORTH_A_WORKER ? 1 : navigator.hardwareConcurrency;
}

interface Running {
  readonly jobs: number;
  readonly profile: CostProfile;
  readonly ledger: Ledger;
  readonly subjects: Subjects;
  readonly onCase: (id: string) => void;
}

/** Runs what is prepared and hands all results on in its order, until no more are wanted. */
async function runAll(
  prepared: readonly Prepared[],
  take: (result: GroupResult) => boolean,
  { jobs, profile, ledger, subjects, onCase }: Running,
): Promise<void> {
  if (jobs <= 1) {
    // The engine and the assembler are loaded only now: a suite of broken scenarios never needs them.
    const { runGroup } = await import("../judge/run_group.ts");
    for (const item of prepared) {
      const result = "broken" in item
        ? item.broken
        : await runGroup(item.group, { profile, filesFor, subjects, ledger, onCase });
      if (!take(result)) return;
    }
    return;
  }
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

// Made-up results, for the tests of reporters.
import { type Backend, DEFAULT_ENGINE } from "../base/backend.ts";
import type { CaseResult, Figures, GroupResult } from "../judge/result.ts";
import { summarize, type Summary, worst } from "../judge/verdict.ts";
import type { Reporter, SuiteOutcome } from "./reporter.ts";

export function makeFigures(
  exits: number,
  vmm: number,
  kinds: Record<string, number> = {},
): Figures {
  return {
    instructions: 100,
    exits: { total: exits, kinds: { io: exits } },
    ways: { "vm-exit/io": exits },
    native: {},
    inlined: {},
    accesses: {},
    injections: {},
    cycles: { profile: "kvm-2017", guest: 1000, vmm, kinds },
    wallNs: 5,
    console: "x",
    end: { kind: "shutdown", code: 0 },
  };
}

export function makeResult(
  scenario: string,
  backend: Backend,
  more: Partial<CaseResult> = {},
): CaseResult {
  const { engine = DEFAULT_ENGINE } = more;
  return {
    id: `${scenario}@${backend}+${engine}`,
    scenario,
    backend,
    engine,
    verdict: "passed",
    checks: [],
    differences: [],
    ...more,
  };
}

export function makeGroupResult(
  id: string,
  cases: readonly CaseResult[],
  more: Partial<GroupResult> = {},
): GroupResult {
  const comparisons = more.comparisons ?? [];
  const verdict = worst([...cases, ...comparisons].map((c) => c.verdict));
  return { id, scenario: id, file: `scenarios/${id}.yaml`, cases, comparisons, verdict, ...more };
}

export function makeOutcome(groups: readonly GroupResult[]): SuiteOutcome {
  const summary: Summary = summarize(groups.flatMap((g) => g.cases.map((c) => c.verdict)));
  return { groups, summary, harnessErrors: 0, profile: "kvm-2017", wallNs: 210_000_000 };
}

/** Sends a run through a reporter. */
export function report(reporter: Reporter, groups: readonly GroupResult[]): void {
  const cases = groups.reduce((sum, g) => sum + g.cases.length, 0);
  reporter.report({ type: "started", groups: groups.length, cases });
  for (const result of groups) {
    for (const { id } of result.cases) reporter.report({ type: "case", id });
    reporter.report({ type: "group", result });
  }
  reporter.report({ type: "finished", outcome: makeOutcome(groups) });
}

// Trace -> Verdict, for the cases of one group: each against its expectations, all against each other, and their costs.
import { ENGINES } from "../base/backend.ts";
import { type Diagnostic, renderDiagnostic } from "../base/diagnostic.ts";
import type { GuestImage } from "../guest/image.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { judgeComparison } from "./comparisons.ts";
import { findDifferences, type Run } from "./equivalence.ts";
import { checkExpectations } from "./expectations.ts";
import { figuresOf } from "./metrics.ts";
import { Places } from "./place.ts";
import type {
  CaseResult,
  Check,
  ComparisonResult,
  Difference,
  Fault,
  GroupResult,
} from "./result.ts";
import { type Verdict, worst } from "./verdict.ts";

/** What came of trying to run a case. */
export type RunOutcome =
  | {
    readonly trace: Trace;
    readonly image?: GuestImage;
    /** What the assembler found odd about the program. */
    readonly warnings?: readonly Diagnostic[];
  }
  | { readonly skipped: string }
  /** Diagnostics: the scenario is at fault. A message: the harness is. */
  | { readonly error: readonly Diagnostic[] | string };

/**
 * Judges a group: each case against its expectations, all against each other, and their costs. `outcomes` are by case id;
 * cases without one (a run that was cut short) are skipped.
 *
 * @example A subject that could not be tried is skipped, and says why
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { parseScenario, plan } from "@trivisor/trivisor";
 *
 * const text = "why: Halting ends a run.\nguest: { program: 'hlt' }";
 * const { scenario } = parseScenario({ name: "halt.yaml", text }, "halt");
 * assert(scenario);
 * const [group] = plan(scenario, { backends: ["native"] });
 * assert(group);
 * const outcomes = new Map([["halt@native+embedded", { skipped: "the machine is on fire" }]]);
 * const [result] = judgeGroup(group, outcomes).cases;
 * assertEquals([result?.verdict, result?.reason], ["skipped", "the machine is on fire"]);
 * ```
 */
export function judgeGroup(
  group: CaseGroup,
  outcomes: ReadonlyMap<string, RunOutcome>,
): GroupResult {
  const runs = group.cases.flatMap((subject): Run[] => {
    const outcome = outcomes.get(subject.id);
    return outcome && "trace" in outcome
      ? [{ subject, trace: outcome.trace, places: new Places(outcome.image) }]
      : [];
  });
  // Engines are compared as subjects like any other; costs only on the same engine.
  const differences = findDifferences(runs, group.guest.observe);
  const cases = group.cases.map((subject) => {
    const run = runs.find((r) => r.subject === subject);
    return run
      ? judgeRun(group, run, differences.get(subject.id))
      : notRun(group, subject, outcomes.get(subject.id));
  });
  const comparisons = ENGINES.flatMap((engine) => compareOn(group, runs, engine));
  const warnings = warningsOf(outcomes.values());
  return {
    id: group.id,
    scenario: group.scenario,
    file: group.file.name,
    cases,
    comparisons,
    verdict: worst([...cases, ...comparisons].map((r) => r.verdict)),
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}

/** Rendered, each once: a program is built for several platforms. */
function warningsOf(outcomes: Iterable<RunOutcome>): string[] {
  const found = [...outcomes].flatMap((o) => "trace" in o ? o.warnings ?? [] : []);
  return [...new Set(found.map((d) => renderDiagnostic(d)))];
}

/** The result of a scenario that could not be read or planned. */
export function brokenScenario(
  scenario: string,
  file: string,
  diagnostics: readonly Diagnostic[],
): GroupResult {
  return {
    id: scenario,
    scenario,
    file,
    cases: [],
    comparisons: [],
    verdict: "error",
    fault: faultOf(diagnostics),
  };
}

/** Who is at fault for an error, and what to say. */
export function faultOf(error: readonly Diagnostic[] | string): Fault {
  return typeof error === "string"
    ? { by: "harness", text: error }
    : { by: "scenario", text: error.map((d) => renderDiagnostic(d)).join("\n") };
}

function identity({ scenario }: CaseGroup, { id, backend, engine }: Case) {
  return { id, scenario, backend, engine };
}

function notRun(group: CaseGroup, subject: Case, outcome: RunOutcome | undefined): CaseResult {
  const nothing = { ...identity(group, subject), checks: [], differences: [] };
  if (outcome && "error" in outcome) {
    const fault = faultOf(outcome.error);
    const reason = fault.text.split("\n")[0] ?? "";
    return { ...nothing, verdict: "error", reason, fault };
  }
  const skipped = outcome && "skipped" in outcome ? outcome.skipped : undefined;
  return { ...nothing, verdict: "skipped", reason: skipped ?? subject.skip ?? "not reached" };
}

function judgeRun(group: CaseGroup, run: Run, difference: Difference | undefined): CaseResult {
  const { subject, trace, places } = run;
  const checks = checkExpectations(subject.expect, trace, places);
  const verdict = worst([
    ...checks.map(verdictOf),
    ...(difference ? ["diverged" as const] : []),
  ]);
  const reason = reasonOf(checks, difference);
  return {
    ...identity(group, subject),
    verdict,
    ...(reason ? { reason } : {}),
    checks,
    differences: difference ? [difference] : [],
    figures: figuresOf(trace),
  };
}

function verdictOf({ status }: Check): Verdict {
  return status === "met" ? "passed" : status === "unobserved" ? "unobserved" : "failed";
}

/** One line for lists and JSON: the worst thing first. */
function reasonOf(checks: readonly Check[], difference: Difference | undefined) {
  if (difference) {
    const { aspect, text, agree } = difference;
    return `${aspect} differs${agree.length > 0 ? ` from ${agree.join(", ")}` : ""}: ${text}`;
  }
  const check = checks.find((c) => c.status === "not met") ??
    checks.find((c) => c.status === "unobserved");
  if (!check) return undefined;
  const line = check.lines.find((l) => l.status === check.status);
  if (check.status === "unobserved") return `${check.about} can't be observed`;
  const wanted = line ? `: expected ${line.expected}` : "";
  return `${check.about}${wanted}${line?.actual ? `, got ${line.actual}` : ""}`;
}

function compareOn(
  group: CaseGroup,
  runs: readonly Run[],
  engine: Case["engine"],
): ComparisonResult[] {
  if (!group.cases.some((c) => c.engine === engine)) return [];
  const figures = new Map(
    runs.filter((r) => r.subject.engine === engine)
      .map((r) => [r.subject.backend, figuresOf(r.trace)] as const),
  );
  return group.comparisons.map((comparison) =>
    judgeComparison(group.id, comparison, figures, engine)
  );
}

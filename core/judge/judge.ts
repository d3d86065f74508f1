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
import { entriesFor, holdAgainst, isCompared, type Ran } from "./known/apply.ts";
import type { Deviation, Known, Ledger } from "./known/deviation.ts";
import { isWorse, type Verdict, worst } from "./verdict.ts";

/** What came of trying to run a case. */
export type RunOutcome =
  | {
    readonly trace: Trace;
    readonly image?: GuestImage;
    /** What the assembler found odd about the program. */
    readonly warnings?: readonly Diagnostic[];
    /** Of the subject, as it says itself. */
    readonly version?: string | undefined;
    /** What the subject runs on, as it says itself. */
    readonly host?: string | undefined;
  }
  | { readonly skipped: string }
  /** Diagnostics: the scenario is at fault. A message: the harness is. */
  | { readonly error: readonly Diagnostic[] | string };

/**
 * Judges a group: each case against its expectations, all against each other, and their costs. `outcomes` are by case id;
 * cases without one (a run that was cut short) are skipped. What `ledger` knows of subjects is excused.
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
  ledger: Ledger = NO_LEDGER,
): GroupResult {
  const runs = group.cases.flatMap((subject): JudgedRun[] => {
    const outcome = outcomes.get(subject.id);
    if (!outcome || !("trace" in outcome)) return [];
    const { trace, image, version, host } = outcome;
    const ran: Ran = {
      ...identity(group, subject),
      ...(version === undefined ? {} : { version }),
      ...(host === undefined ? {} : { host }),
    };
    const places = new Places(image);
    const checks = checkExpectations(subject.expect, trace, places);
    return [{ subject, trace, places, ran, entries: entriesFor(ran, ledger), checks }];
  });
  const differences = differencesOf(runs, group, ledger);
  const compared = runs.length > 1;
  const cases = group.cases.map((subject) => {
    const run = runs.find((r) => r.subject === subject);
    return run
      ? judgeRun(run, differences.get(subject.id) ?? [], compared, ledger)
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

/** A run, what the ledger has on it, and what became of its expectations. */
interface JudgedRun extends Run {
  readonly ran: Ran;
  readonly entries: readonly Deviation[];
  readonly checks: readonly Check[];
}

/** Nothing is known of anybody. */
export const NO_LEDGER: Ledger = { deviations: [], today: "" };

/**
 * The differences between all runs, engines compared like any other subjects. One that is known to deviate is compared with
 * the others, but not they with it: where two disagree, and of one that is known, the other is right, however many are known.
 */
function differencesOf(
  runs: readonly JudgedRun[],
  { guest: { observe } }: CaseGroup,
  { today }: Ledger,
): ReadonlyMap<string, readonly Difference[]> {
  const differences = findDifferences(runs, observe);
  const excused = runs.filter(({ subject, entries, checks }) => {
    const result = { checks, differences: differences.get(subject.id) ?? [], compared: true };
    return holdAgainst(result, entries, today).known.some((k) =>
      k.state === "excused" && k.about.some(isCompared)
    );
  });
  if (excused.length === 0) return differences;
  const rest = findDifferences(runs.filter((run) => !excused.includes(run)), observe);
  for (const { subject: { id } } of excused) rest.set(id, differences.get(id) ?? []);
  return rest;
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

function judgeRun(
  { trace, ran, entries, checks }: JudgedRun,
  differences: readonly Difference[],
  compared: boolean,
  { today }: Ledger,
): CaseResult {
  const { known, unexcused } = holdAgainst({ checks, differences, compared }, entries, today);
  const isExcused = (about: string) => !unexcused.includes(about);
  // One difference tells it all, as later ones may follow from it: the first that nobody knew of.
  const difference = differences.find((d) => !isExcused(d.aspect)) ?? differences[0];
  const verdict: Verdict = worst(
    [
      ...checks.map((check) => verdictOf(check, isExcused(check.about))),
      ...(difference ? [isExcused(difference.aspect) ? KNOWN : "diverged"] : []),
      ...(known.some((k) => k.state === "gone") ? ["failed" as const] : []),
    ] satisfies Verdict[],
  );
  const reason = isWorse(verdict, KNOWN) || known.length === 0
    ? [
      reasonOf(
        checks.filter((c) => c.status !== "not met" || !isExcused(c.about)),
        difference && !isExcused(difference.aspect) ? difference : undefined,
      ),
      ...known.flatMap(complaintOf),
    ].filter(Boolean).join("; ")
    : known.map((k) => `known deviation, ${k.at}: ${k.reason}`).join("; ");
  const { version, host } = ran;
  return {
    id: ran.id,
    scenario: ran.scenario,
    backend: ran.backend,
    engine: ran.engine,
    verdict,
    ...(reason === "" ? {} : { reason }),
    checks,
    differences: difference ? [difference] : [],
    ...(known.length > 0 ? { known } : {}),
    ...(version === undefined ? {} : { version }),
    ...(host === undefined ? {} : { host }),
    figures: figuresOf(trace),
  };
}

const KNOWN: Verdict = "known-deviation";

function verdictOf({ status }: Check, isExcused: boolean): Verdict {
  if (status === "not met") return isExcused ? KNOWN : "failed";
  return status === "met" ? "passed" : "unobserved";
}

/** What the ledger makes worse of a case. */
function complaintOf({ state, at, until }: Known): string[] {
  switch (state) {
    case "gone":
      return [`the deviation is gone: remove ${at}`];
    case "expired":
      return [`it was excused until ${until}, ${at}`];
    case "excused":
      return [];
    default:
      return state satisfies never;
  }
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

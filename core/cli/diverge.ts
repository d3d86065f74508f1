// `trivisor diverge CASE`: runs one group on several subjects and tells where they first differ.
import { BACKENDS, ENGINES, type SubjectId, subjectName } from "../base/backend.ts";
import { didYouMean } from "../base/diagnostic.ts";
import { type SubjectOptions, Subjects } from "../foreign/subjects.ts";
import { diverge as findDivergence } from "../judge/diverge.ts";
import { type Divergence } from "../judge/divergence.ts";
import { faultOf, type RunOutcome } from "../judge/judge.ts";
import { GroupRunner } from "../judge/run_group.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { left, WIDTH } from "../report/columns.ts";
import { explainDivergence } from "../report/divergence.ts";
import { toJson } from "../report/json.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import { describeEnd } from "../trace/print.ts";
import { Complaint } from "./complaint.ts";
import { findCase } from "./find_case.ts";
import { chooseColours, toStdout } from "./output.ts";
import type { SelectionOptions } from "./prepare.ts";
import { loadProfile } from "./profile.ts";
import { filesFor } from "./project.ts";

export interface DivergeOptions extends SelectionOptions {
  /** Those to compare; absent: those of the scenario, on the selected engines. */
  readonly subjects?: readonly SubjectId[];
  readonly json?: boolean;
  readonly profile?: string;
  readonly outside?: SubjectOptions;
}

/** Names of subjects, in ids of cases with a plus. */
const NAMES = ENGINES.flatMap((engine) =>
  BACKENDS.map((backend) => ({ id: { backend, engine }, name: subjectName({ backend, engine }) }))
);

/** `full-hw@kvm,full-bt@qemu`; a back end alone is on the embedded engine. */
export function subjects(text: string, before: readonly SubjectId[] = []): readonly SubjectId[] {
  const ids = text.split(",").map((word) => {
    const wanted = word.trim().replace("+", "@");
    const found = NAMES.find(({ name }) => name === wanted || name === `${wanted}@embedded`);
    if (found) return found.id;
    const hint = didYouMean(wanted, NAMES.map(({ name }) => name));
    throw new Complaint(`There is no subject "${word.trim()}". ${hint ?? "`doctor` shows all"}`);
  });
  return [...before, ...ids];
}

/** Prints the first difference; exit code 1 if there is one. */
export async function diverge(id: string, options: DivergeOptions): Promise<ExitCode> {
  const { group, cases } = await chosen(id, options);
  const runnable = cases.filter((c) => c.skip === undefined);
  const outside = new Subjects(options.outside);
  const context = { profile: await loadProfile(options.profile), filesFor, subjects: outside };
  const runner = new GroupRunner(group, context);
  const outcomes = new Map<string, RunOutcome>();
  let found: Divergence | undefined;
  try {
    for (const subject of runnable) outcomes.set(subject.id, await runner.run(subject));
    found = await findDivergence(runnable, outcomes, (c, n) => runner.run(c, n));
  } finally {
    await outside.close();
  }
  for (const outcome of outcomes.values()) {
    if (!("error" in outcome)) continue;
    const { text, by } = faultOf(outcome.error);
    throw new Complaint(text, by === "harness" ? EXIT_CODE.harness : EXIT_CODE.usage);
  }
  const ran = runnable.filter((c) => "trace" in (outcomes.get(c.id) ?? {}));
  if (ran.length < 2) {
    const why = cases.map((c) => `\n  ${subjectName(c)}: ${fate(c, outcomes)}`).join("");
    throw new Complaint(
      `${group.id}: fewer than two subjects ran, so there is nothing to compare${why}`,
    );
  }
  chooseColours(options.json ? { isTerminal: () => false } : Deno.stdout);
  toStdout(
    options.json
      ? toJson({
        version: 1,
        id: group.id,
        subjects: cases.map((c) => ({ subject: subjectName(c), came: fate(c, outcomes) })),
        divergence: found ?? null,
      }) + "\n"
      : [
        group.id,
        ...cases.map((c) => `  ${left(subjectName(c), 24)}${fate(c, outcomes)}`),
        "",
        ...(found
          ? explainDivergence(found, WIDTH)
          : ["no divergence: events, console and end are alike as far as they are shown"]),
      ].map((line) => line.trimEnd() + "\n").join(""),
  );
  return found ? EXIT_CODE.failed : EXIT_CODE.ok;
}

/** What came of a case, in a few words. */
function fate({ id, skip }: Case, outcomes: ReadonlyMap<string, RunOutcome>): string {
  const outcome = outcomes.get(id);
  if (!outcome) return `skipped: ${skip ?? "not reached"}`;
  if ("skipped" in outcome) return `skipped: ${outcome.skipped}`;
  return "trace" in outcome ? describeEnd(outcome.trace.end) : "an error";
}

/** The cases to run: of the subjects that are named, or of all that the group has. */
async function chosen(
  id: string,
  options: DivergeOptions,
): Promise<{ readonly group: CaseGroup; readonly cases: readonly Case[] }> {
  const { subjects: wanted, ...selection } = options;
  if (!wanted) {
    const { group } = await findCase(id, selection);
    return { group, cases: group.cases };
  }
  const { group } = await findCase(id, {
    ...selection,
    backends: [...new Set(wanted.map((s) => s.backend))],
    engines: [...new Set(wanted.map((s) => s.engine))],
  });
  const names = new Set(wanted.map(subjectName));
  return { group, cases: group.cases.filter((c) => names.has(subjectName(c))) };
}

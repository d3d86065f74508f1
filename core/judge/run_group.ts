// Builds, runs and judges the cases of one group: the pipeline from Case to Verdict. Called in the main thread, in a worker
// with `--jobs`, and by the bench.
import { DEFAULT_ENGINE, type SubjectId, subjectName } from "../base/backend.ts";
import type { Diagnostic } from "../base/diagnostic.ts";
import { buildGuest, type BuildOptions } from "../guest/build.ts";
import type { GuestImage, Platform } from "../guest/image.ts";
import type { Case, CaseGroup, Limits } from "../scenario/case.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { SubjectLacks } from "../engine/lacks.ts";
import type { Found, SubjectSource } from "../vmm/subject.ts";
import { diverge } from "./diverge.ts";
import { judgeGroup, type RunOutcome } from "./judge.ts";
import type { Ledger } from "./known/deviation.ts";
import type { Lanes } from "./lanes.ts";
import { unknownLabels } from "./labels.ts";
import type { GroupResult } from "./result.ts";

/** What is the same for every group of a run. */
export interface GroupContext {
  /** What exits and operations cost. */
  readonly profile: CostProfile;
  /** Finds what the scenario in this file includes and loads. Without it there is nothing to include or load. */
  readonly filesFor?: (file: string) => BuildOptions;
  /** What runs the cases; absent: the back ends on the embedded engine. */
  readonly subjects?: SubjectSource;
  /** What is known of subjects that are not ours; absent: nothing. */
  readonly ledger?: Ledger;
  /** Where cases wait for their turn, so that several run side by side; absent: one after the other. */
  readonly lanes?: Lanes;
  /** Told the id of each case before it runs. */
  readonly onCase?: (id: string) => void;
}

type Built =
  | { readonly image: GuestImage; readonly warnings: readonly Diagnostic[] }
  | { readonly error: readonly Diagnostic[] };

/**
 * Builds, runs and judges every case of a group. Never rejects: a guest that can't be built, or a defect of the harness,
 * is the verdict `error` of its case.
 *
 * @example What a port write costs under hardware assistance: an exit to user space, of 6209 cycles
 * ```ts
 * import { assert, assertEquals } from "@std/assert";
 * import { costProfile, parseScenario, plan, runGroup } from "@trivisor/trivisor";
 *
 * const text = `
 * why: A byte for a port that nobody listens on.
 * guest: { entry: protected32, program: "start: out 0x80, al" }
 * limits: { instructions: 1 }
 * `;
 * const { scenario } = parseScenario({ name: "byte.yaml", text }, "byte");
 * const profile = costProfile("kvm-2017");
 * assert(scenario && profile);
 * for (const group of plan(scenario, { backends: ["full-hw"] })) {
 *   const [result] = (await runGroup(group, { profile })).cases;
 *   assertEquals(result?.figures?.exits.kinds, { io: 1 });
 *   assertEquals(result?.figures?.cycles.vmm, 6209);
 * }
 * ```
 */
export async function runGroup(group: CaseGroup, context: GroupContext): Promise<GroupResult> {
  const runner = new GroupRunner(group, context);
  const outcomes = await runCases(group, runner, context);
  const result = judgeGroup(group, outcomes, context.ledger);
  if (!result.cases.some((c) => c.verdict === "diverged")) return result;
  const known = result.cases.filter((c) => c.verdict === "known-deviation").map((c) => c.id);
  const looked = group.cases.filter(({ id }) => !known.includes(id));
  const again = async (subject: Case, stopAfter: number): Promise<RunOutcome> => {
    const run = () => runner.run(subject, stopAfter);
    const { lanes } = context;
    return lanes ? await lanes.run(subject, run) ?? { skipped: "not reached" } : await run();
  };
  const divergence = await diverge(looked, outcomes, again);
  return divergence ? { ...result, divergence } : result;
}

async function embeddedSubject(id: SubjectId): Promise<Found> {
  const { subjectOf } = await import("../vmm/subjects.ts");
  const subject = subjectOf(id);
  return subject ? { subject } : { absent: `${subjectName(id)} is not on the embedded engine` };
}

async function runCases(
  { cases }: CaseGroup,
  runner: GroupRunner,
  { lanes, onCase }: GroupContext,
): Promise<Map<string, RunOutcome>> {
  const run = (subject: Case) => {
    onCase?.(subject.id);
    return runner.run(subject);
  };
  const outcomes = new Map<string, RunOutcome>();
  if (lanes) {
    const ran = await Promise.all(cases.map((subject) =>
      // What is skipped need not wait.
      subject.skip === undefined ? lanes.run(subject, () => run(subject)) : run(subject)
    ));
    for (const [n, { id }] of cases.entries()) if (ran[n]) outcomes.set(id, ran[n]);
  } else {
    for (const subject of cases) outcomes.set(subject.id, await run(subject));
  }
  return outcomes;
}

/** Milliseconds for a guest that runs until a limit, on an engine that may not count what it is on. */
const UNCOUNTED_WALL_MS = 1000;

/** A guest that is to run until a limit does so for ever where nobody counts: it is not worth waiting for. */
function limitsOf({ limits }: CaseGroup, { engine, expect }: Case): Limits {
  if (engine === DEFAULT_ENGINE || expect.end?.value.kind !== "limit") return limits;
  return { ...limits, wallMs: Math.min(limits.wallMs, UNCOUNTED_WALL_MS) };
}

/** Runs cases of one group; the program is assembled once for each platform. */
export class GroupRunner {
  readonly #built = new Map<Platform, Built>();

  constructor(readonly group: CaseGroup, readonly context: GroupContext) {}

  /** Runs one case, or the part of it up to so many accesses. Never rejects: what goes wrong is an outcome. */
  async run(subject: Case, stopAfter?: number): Promise<RunOutcome> {
    if (subject.skip !== undefined) return { skipped: subject.skip };
    try {
      const { subjects } = this.context;
      const found = subjects ? await subjects.find(subject) : await embeddedSubject(subject);
      if ("absent" in found) return { skipped: found.absent };
      const runs = found.subject;
      const { group } = this;
      const unsuited = runs.unsuited(group.guest);
      if (unsuited) return { skipped: unsuited };
      const built = this.build(runs.platform);
      if ("error" in built) return { error: built.error };
      const { image, warnings } = built;
      const unknown = unknownLabels(group.guest, subject, image);
      if (unknown.length > 0) return { error: unknown };
      const { profile } = this.context;
      const limits = limitsOf(group, subject);
      const job = { group: { ...group, limits }, subject, image, profile };
      const trace = await runs.run(stopAfter === undefined ? job : { ...job, stopAfter });
      const { version, host } = runs;
      return { image, trace, warnings, version, host };
    } catch (error) {
      if (error instanceof SubjectLacks) return { skipped: error.message };
      return {
        error: `The harness failed: ${error instanceof Error ? error.message : String(error)}`,
      };
    }
  }

  /** The guest for a platform, or what is wrong with it. */
  build(platform: Platform): Built {
    const known = this.#built.get(platform);
    if (known) return known;
    const { guest, file } = this.group;
    const files = this.context.filesFor?.(file.name) ?? {};
    const { image, diagnostics } = buildGuest(guest, platform, files);
    const built = image ? { image, warnings: diagnostics } : { error: diagnostics };
    this.#built.set(platform, built);
    return built;
  }
}

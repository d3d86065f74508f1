// Builds, runs and judges the cases of one group: the pipeline from Case to Verdict. Called in the main thread, in a worker
// with `--jobs`, and by the bench.
import type { Diagnostic } from "../base/diagnostic.ts";
import { buildGuest, type BuildOptions } from "../guest/build.ts";
import type { GuestImage, Platform } from "../guest/image.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { subjectOf } from "../vmm/subjects.ts";
import { judgeGroup, type RunOutcome } from "./judge.ts";
import { unknownLabels } from "./labels.ts";
import type { GroupResult } from "./result.ts";

/** What is the same for every group of a run. */
export interface GroupContext {
  /** What exits and operations cost. */
  readonly profile: CostProfile;
  /** Finds what the scenario in this file includes and loads. Without it there is nothing to include or load. */
  readonly filesFor?: (file: string) => BuildOptions;
  /** Told the id of each case before it runs. */
  readonly onCase?: (id: string) => void;
}

type Built =
  | { readonly image: GuestImage; readonly warnings: readonly Diagnostic[] }
  | { readonly error: readonly Diagnostic[] };

/**
 * Builds, runs and judges every case of a group. Never throws: a guest that can't be built, or a defect of the harness,
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
 *   const [result] = runGroup(group, { profile }).cases;
 *   assertEquals(result?.figures?.exits.kinds, { io: 1 });
 *   assertEquals(result?.figures?.cycles.vmm, 6209);
 * }
 * ```
 */
export function runGroup(group: CaseGroup, context: GroupContext): GroupResult {
  const runner = new GroupRunner(group, context);
  const outcomes = new Map(group.cases.map((subject) => {
    context.onCase?.(subject.id);
    return [subject.id, runner.run(subject)] as const;
  }));
  return judgeGroup(group, outcomes);
}

/** Runs cases of one group; the program is assembled once for each platform. */
export class GroupRunner {
  readonly #built = new Map<Platform, Built>();

  constructor(readonly group: CaseGroup, readonly context: GroupContext) {}

  /** Runs one case. Never throws: what goes wrong is an outcome. */
  run(subject: Case): RunOutcome {
    if (subject.skip !== undefined) return { skipped: subject.skip };
    const runs = subjectOf(subject);
    if (!runs) return { skipped: `the engine ${subject.engine} is not built in this version` };
    try {
      const available = runs.probe();
      if (!available.available) return { skipped: available.why };
      const { group } = this;
      const unsuited = runs.unsuited(group.guest);
      if (unsuited) return { skipped: unsuited };
      const built = this.build(runs.platform);
      if ("error" in built) return { error: built.error };
      const { image, warnings } = built;
      const unknown = unknownLabels(group.guest, subject, image);
      if (unknown.length > 0) return { error: unknown };
      const trace = runs.run({ group, subject, image, profile: this.context.profile });
      return { image, trace, warnings };
    } catch (error) {
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

// Builds, runs and judges the cases of one group: the pipeline from Case to Verdict. Called in the main thread, in a worker
// with `--jobs`, and by the bench.
import type { Diagnostic } from "../base/diagnostic.ts";
import type { Engine } from "../base/backend.ts";
import { embedded } from "../engine/embedded/engine.ts";
import type { VcpuFactory } from "../engine/vcpu.ts";
import { buildGuest, type BuildOptions } from "../guest/build.ts";
import type { GuestImage, Platform } from "../guest/image.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { BACKEND_DEFINITIONS } from "../vmm/backends.ts";
import { runCase } from "../vmm/runner.ts";
import { judgeGroup, type RunOutcome } from "./judge.ts";
import type { GroupResult } from "./result.ts";

/** What is the same for every group of a run. */
export interface GroupContext {
  readonly profile: CostProfile;
  /** Finds what the scenario in this file includes and loads. */
  readonly filesFor?: (file: string) => BuildOptions;
  /** Told the id of each case before it runs. */
  readonly onCase?: (id: string) => void;
}

/** Engines that run here; the others are skipped with a reason. */
const ENGINES: Partial<Record<Engine, VcpuFactory>> = { embedded };

type Built = { readonly image: GuestImage } | { readonly error: readonly Diagnostic[] };

/** Runs every case of the group, and judges them. */
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
    const engine = ENGINES[subject.engine];
    if (!engine) return { skipped: `the engine ${subject.engine} is not built in this version` };
    const backend = BACKEND_DEFINITIONS.get(subject.backend);
    if (!backend) return { skipped: `${subject.backend} is not built in this version` };
    try {
      const unsuited = backend.unsuited(this.group.guest);
      if (unsuited) return { skipped: unsuited };
      const built = this.build(backend.platform);
      if ("error" in built) return { error: built.error };
      const { profile } = this.context;
      const { group } = this;
      const { image } = built;
      return { image, trace: runCase({ group, subject, image, backend, engine, profile }) };
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
    const built = image ? { image } : { error: diagnostics };
    this.#built.set(platform, built);
    return built;
  }
}

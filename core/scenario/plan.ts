// The second arrow of the pipeline: Scenario -> groups of cases, one case a subject.
import {
  type Backend,
  BACKENDS,
  DEFAULT_ENGINE,
  type Engine,
  ENGINES,
  PAIRS,
  subjectName,
  whyAbsent,
} from "../base/backend.ts";
import type { Case, CaseGroup, GuestSpec } from "./case.ts";
import { describeParameters } from "./parameters.ts";
import { expectationsOf } from "./read/expectations.ts";
import type { Instance, Scenario } from "./scenario.ts";

/** What the user wants to run. */
export interface Selection {
  /** Instead of the default ones and those that the scenario names. */
  readonly backends?: readonly Backend[];
  /** `embedded` alone if absent. */
  readonly engines?: readonly Engine[];
}

/**
 * The cases of a scenario on the selected subjects: a group for each combination of parameters, in the order of the
 * scenario, with a case for each back end of each engine. Subjects that it rules out become cases with a reason to skip.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { parseScenario } from "./parse.ts";
 *
 * const text = "why: Every length.\nparameters: { length: [5, 64] }\nguest: { program: 'hlt' }";
 * const { scenario } = parseScenario({ name: "halt.yaml", text }, "halt");
 * if (scenario) {
 *   const groups = plan(scenario, { backends: ["para"] });
 *   assertEquals(groups[1]?.cases[0]?.id, "halt[length=64]@para+embedded");
 * }
 * ```
 */
export function plan(scenario: Scenario, selection: Selection = {}): readonly CaseGroup[] {
  const { backends, engines = [DEFAULT_ENGINE] } = selection;
  const subjects = ENGINES.filter((engine) => engines.includes(engine)).flatMap((engine) =>
    BACKENDS.filter((backend) => isWanted(backend, engine, backends, scenario.named))
      .map((backend) => ({ backend, engine }))
  );
  return scenario.instances.map((instance) => {
    const id = scenario.name + describeParameters(instance.parameters);
    return {
      id,
      scenario: scenario.name,
      file: scenario.file,
      why: scenario.why,
      tags: scenario.tags,
      parameters: instance.parameters,
      guest: instance.guest,
      limits: instance.limits,
      comparisons: instance.comparisons,
      cases: subjects.map(({ backend, engine }) =>
        planCase(id, scenario, instance, backend, engine)
      ),
    };
  });
}

/** A pair that the user asks for is planned even where there is no such pair, and says why it is skipped. */
function isWanted(
  backend: Backend,
  engine: Engine,
  asked: readonly Backend[] | undefined,
  named: readonly Backend[],
): boolean {
  if (asked) return asked.includes(backend);
  const pairing = PAIRS[engine][backend];
  return pairing === "usual" || (engine === DEFAULT_ENGINE && named.includes(backend));
}

function planCase(
  group: string,
  scenario: Scenario,
  instance: Instance,
  backend: Backend,
  engine: Engine,
): Case {
  const skip = reasonToSkip(scenario, instance.guest, backend, engine);
  return {
    id: `${group}@${backend}+${engine}`,
    backend,
    engine,
    ...(skip ? { skip } : {}),
    expect: expectationsOf(instance.expectations, { backend, engine }, instance.unported),
  };
}

function reasonToSkip(
  { requires }: Scenario,
  guest: GuestSpec,
  backend: Backend,
  engine: Engine,
): string | undefined {
  const absent = whyAbsent({ backend, engine });
  if (absent) return `there is no ${subjectName({ backend, engine })}: ${absent}`;
  const { backends, engines } = requires;
  // Who asks for hardware assistance asks for it with either kind of paging.
  const technique = backend === "full-hw/shadow" ? "full-hw" : backend;
  if (backends && !backends.includes(backend) && !backends.includes(technique)) {
    return `the scenario requires ${backends.join(" or ")}`;
  }
  if (engines && !engines.includes(engine)) {
    return `${subjectName({ backend, engine })}: the scenario requires ${engines.join(" or ")}`;
  }
  if (backend === "para" && guest.file) return "para runs programs ported to it, not files";
  if (backend === "para" && guest.entry !== "long64") return "para starts guests in long mode";
  return undefined;
}

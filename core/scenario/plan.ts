// The second arrow of the pipeline: Scenario -> groups of cases, one case a subject.
import {
  type Backend,
  BACKENDS,
  DEFAULT_BACKENDS,
  type Engine,
  subjectName,
} from "../base/backend.ts";
import type { Case, CaseGroup, GuestSpec } from "./case.ts";
import { describeParameters } from "./parameters.ts";
import { expectationsOf } from "./read/expectations.ts";
import type { Instance, Scenario } from "./scenario.ts";

/** What the user wants to run. */
export interface Selection {
  /** Instead of the default ones and those that the scenario names. */
  readonly backends?: readonly Backend[];
  /** `embedded` if absent. */
  readonly engine?: Engine;
}

/**
 * The cases of a scenario on the selected subjects: a group for each combination of parameters, in the order of the
 * scenario. Subjects that it rules out become cases with a reason to skip.
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
  const wanted = selection.backends ?? [...DEFAULT_BACKENDS, ...scenario.named];
  const backends = BACKENDS.filter((backend) => wanted.includes(backend));
  const engine = selection.engine ?? "embedded";
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
      cases: backends.map((backend) => planCase(id, scenario, instance, backend, engine)),
    };
  });
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
    expect: expectationsOf(instance.expectations, backend, instance.unported),
  };
}

function reasonToSkip(
  { requires }: Scenario,
  guest: GuestSpec,
  backend: Backend,
  engine: Engine,
): string | undefined {
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

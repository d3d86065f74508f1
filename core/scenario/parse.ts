// The first arrow of the pipeline: YAML text -> Scenario, or everything that is wrong with it. What is wrong inside the
// guest's program is for the assembler to say.
import { type Backend, BACKENDS, DEFAULT_BACKENDS, type Engine, ENGINES } from "../base/backend.ts";
import type { Diagnostic } from "../base/diagnostic.ts";
import type { SourceFile } from "../base/source.ts";
import type { Comparison, Parameters, Program } from "./case.ts";
import { Findings } from "./findings.ts";
import { readCombinations } from "./parameters.ts";
import { checkObserved } from "./read/observed.ts";
import { readComparisons } from "./read/comparisons.ts";
import { readAllExpectations } from "./read/expectations.ts";
import { readGuest } from "./read/guest.ts";
import { readLimits } from "./read/limits.ts";
import type { Instance, Scenario } from "./scenario.ts";
import { checkStructure } from "./structure.ts";
import { expandScenario } from "./template.ts";
import { entriesOf, itemsOf, type MapNode, textOf, valueOf } from "./yaml/node.ts";
import { parseYaml } from "./yaml/parse.ts";

/** What has become of a scenario file. */
export interface ParsedScenario {
  /** Absent if there are errors. */
  readonly scenario?: Scenario;
  /**
   * The program of the first combination of parameters, where the file has one that could be found: there even if there
   * are errors, so that the assembler's diagnostics can be told along with them.
   */
  readonly program?: Program;
  /** Every mistake, in the order of the file. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Reads a scenario. `name` is its path below the suite's root, without `.yaml`: `console/hello`. Never throws.
 *
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const text = "why: Halting ends a run.\nguest: { program: 'hlt' }\nexpect: { end: hlt }";
 * const { diagnostics } = parseScenario({ name: "halt.yaml", text }, "halt");
 * assertEquals(diagnostics[0]?.message, 'Unknown end "hlt"');
 * assertEquals(diagnostics[0]?.suggestion, 'Did you mean "halt"?');
 * ```
 */
export function parseScenario(file: SourceFile, name: string): ParsedScenario {
  const findings = new Findings();
  const root = parseYaml(file, findings);
  if (!root) return { diagnostics: findings.list() };
  checkStructure(root, findings);
  if (root.kind !== "map") return { diagnostics: findings.list() };

  // What comes next is read even if the structure is broken, to tell all mistakes at once; but what is broken inside would
  // only be told a second time.
  const broken = findings.list();
  const later = new Findings();
  const combinations = readCombinations(root, later);
  const instances: Instance[] = [];
  for (const parameters of combinations.length > 0 ? combinations : [{}]) {
    instances.push(readInstance(root, parameters, later, broken.length === 0));
  }
  for (const { span, message, suggestion } of later.list()) {
    const known = span &&
      broken.some(({ span: inner }) =>
        inner && inner.start >= span.start && inner.start <= span.end
      );
    if (span && !known) findings.error(span, message, suggestion);
  }

  const program = instances[0]?.guest.program;
  return {
    ...(findings.count === 0 ? { scenario: toScenario(root, file, name, instances) } : {}),
    ...(program ? { program } : {}),
    diagnostics: findings.list(),
  };
}

function readInstance(
  root: MapNode,
  parameters: Parameters,
  findings: Findings,
  check: boolean,
): Instance {
  const tree = expandScenario(root, parameters, findings);
  // A parameter may have put a text where a number must be.
  if (check) checkStructure(tree, findings);
  const node = valueOf(tree, "guest");
  const guest = readGuest(node, parameters, findings);
  const expectations = readAllExpectations(tree, guest.observe.memory, findings);
  checkObserved(guest, expectations, findings);
  const unported = valueOf(node, "expected-unported");
  return {
    parameters,
    guest,
    expectations,
    ...(unported && guest.expectedUnported.length > 0
      ? { unported: { value: guest.expectedUnported, span: unported.span } }
      : {}),
    limits: readLimits(valueOf(tree, "limits"), guest.file !== undefined, findings),
    comparisons: readComparisons(tree, parameters, findings),
  };
}

function toScenario(
  root: MapNode,
  file: SourceFile,
  name: string,
  instances: readonly Instance[],
): Scenario {
  const requires = valueOf(root, "requires");
  const words = (key: string) => itemsOf(valueOf(requires, key)).map(textOf);
  const backends = BACKENDS.filter((backend) => words("backend").includes(backend));
  const engines: readonly Engine[] = ENGINES.filter((engine) => words("engine").includes(engine));
  const named = new Set<string>([
    ...backends,
    ...entriesOf(valueOf(root, "per")).map(({ key }) => key),
    ...instances.flatMap(({ comparisons }) => comparisons.flatMap(backendsOf)),
  ]);
  return {
    name,
    file,
    why: (textOf(valueOf(root, "why")) ?? "").trim(),
    tags: itemsOf(valueOf(root, "tags")).flatMap((item) => textOf(item) ?? []),
    requires: {
      ...(backends.length > 0 ? { backends } : {}),
      ...(engines.length > 0 ? { engines } : {}),
    },
    named: BACKENDS.filter((backend) => !DEFAULT_BACKENDS.includes(backend) && named.has(backend)),
    instances,
  };
}

function backendsOf(comparison: Comparison): readonly Backend[] {
  return comparison.is === "order" ? comparison.order : [comparison.of, comparison.times];
}

// From paths to the groups that will run: reads, parses, plans and filters. What can't be read becomes a result of its own,
// and the rest goes on.
import type { Backend, Engine } from "../base/backend.ts";
import type { Diagnostic } from "../base/diagnostic.ts";
import type { SourceFile } from "../base/source.ts";
import { brokenScenario } from "../judge/judge.ts";
import type { GroupResult } from "../judge/result.ts";
import type { CaseGroup } from "../scenario/case.ts";
import { filterGroups, type Shard } from "../scenario/filter.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import { discover } from "./discover.ts";

/** What the user selected. */
export interface SelectionOptions {
  /** Scenario files and folders. */
  readonly paths: readonly string[];
  /** Absent: those that each scenario suits. */
  readonly backends?: readonly Backend[];
  /** Absent: the embedded one. */
  readonly engines?: readonly Engine[];
  readonly tags?: readonly string[];
  readonly grep?: string;
  readonly shard?: Shard;
}

/** In the order of the suite: a group to run, or a scenario that can't be. */
export type Prepared = { readonly group: CaseGroup } | { readonly broken: GroupResult };

/** Reads and plans everything that is selected. */
export async function prepare(options: SelectionOptions): Promise<Prepared[]> {
  const prepared: Prepared[] = [];
  for (const { path, name } of discover(options.paths)) {
    const file: SourceFile = { name: path, text: Deno.readTextFileSync(path) };
    prepared.push(...await prepareOne(file, name, options));
  }
  return prepared;
}

async function prepareOne(
  file: SourceFile,
  name: string,
  options: SelectionOptions,
): Promise<Prepared[]> {
  const parsed = parseScenario(file, name);
  if (!parsed.scenario) {
    const diagnostics = [...parsed.diagnostics];
    if (parsed.program) {
      // Only now is the assembler worth loading: its findings are told along with the others.
      const { checkProgram } = await import("./program_check.ts");
      diagnostics.push(...checkProgram(parsed.program, file.name));
    }
    return [{ broken: brokenScenario(name, file.name, inOrder(diagnostics)) }];
  }
  const { backends, engines } = options;
  const planned = plan(parsed.scenario, {
    ...(backends ? { backends } : {}),
    ...(engines ? { engines } : {}),
  });
  return filterGroups(planned, options).map((group) => ({ group }));
}

/** By place in the file: findings of several stages, as a reader of the file meets them. */
function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  return diagnostics.toSorted((a, b) => (a.span?.start ?? 0) - (b.span?.start ?? 0));
}

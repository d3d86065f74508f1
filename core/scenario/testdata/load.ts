// What tests of the scenario language share: the scenarios beside this file, and short ways to parse one.
import { positionOf, type SourceFile } from "../../base/source.ts";
import { parseScenario } from "../parse.ts";
import { plan, type Selection } from "../plan.ts";
import type { CaseGroup, Expectations } from "../case.ts";

/** The scenarios in this folder that are without mistakes. */
export const GOOD = [
  "port_output",
  "greeting",
  "sectors",
  "hostile_ring",
  "silent_flags",
  "page_table",
  "ticks",
  "signature",
] as const;

/** One of the scenarios in this folder. */
export function load(name: typeof GOOD[number] | "mistakes"): SourceFile {
  const text = Deno.readTextFileSync(new URL(`${name}.yaml`, import.meta.url));
  return { name: `${name}.yaml`, text };
}

/** The diagnostics of a scenario, as `line:column message | suggestion`. */
export function problems(text: string): string[] {
  const { diagnostics } = parseScenario({ name: "test.yaml", text }, "test");
  return diagnostics.map(({ message, span, suggestion }) => {
    const { line, column } = span ? positionOf(span.file, span.start) : { line: 0, column: 0 };
    return `${line}:${column} ${message}${suggestion ? ` | ${suggestion}` : ""}`;
  });
}

/** The groups of a scenario that must be without mistakes. */
export function planned(file: SourceFile | string, selection?: Selection): readonly CaseGroup[] {
  const source = typeof file === "string" ? { name: "test.yaml", text: file } : file;
  const { scenario, diagnostics } = parseScenario(source, "test");
  if (!scenario) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return plan(scenario, selection).groups;
}

/** What a scenario expects on a back end, given the text of its `expect` and what may follow that. */
export function expectations(text: string, backend = "native"): Expectations {
  const [group] = planned(`why: x\nguest: { program: "hlt" }\n${text}`);
  const found = group?.cases.find((c) => c.backend === backend);
  if (!found) throw new Error(`No case on ${backend}`);
  return found.expect;
}

// What tests of the scenario language share: the scenarios beside this file, and short ways to parse one.
import greeting from "./greeting.yaml" with { type: "text" };
import hostileRing from "./hostile_ring.yaml" with { type: "text" };
import mistakes from "./mistakes.yaml" with { type: "text" };
import pageTable from "./page_table.yaml" with { type: "text" };
import portOutput from "./port_output.yaml" with { type: "text" };
import sectors from "./sectors.yaml" with { type: "text" };
import signature from "./signature.yaml" with { type: "text" };
import silentFlags from "./silent_flags.yaml" with { type: "text" };
import ticks from "./ticks.yaml" with { type: "text" };
import { positionOf, type SourceFile } from "../../base/source.ts";
import { parseScenario } from "../parse.ts";
import { plan, type Selection } from "../plan.ts";
import type { CaseGroup, Expectations } from "../case.ts";

const TEXTS = {
  "greeting": greeting,
  "hostile_ring": hostileRing,
  "mistakes": mistakes,
  "page_table": pageTable,
  "port_output": portOutput,
  "sectors": sectors,
  "signature": signature,
  "silent_flags": silentFlags,
  "ticks": ticks,
} as const;

/** Names of the scenarios in this folder; `mistakes` is the one that has some. */
export const GOOD = Object.keys(TEXTS).filter((name) => name !== "mistakes");

/** One of the scenarios in this folder. */
export function load(name: string): SourceFile {
  const text = Object.entries(TEXTS).find(([other]) => other === name)?.[1];
  if (text === undefined) throw new Error(`No scenario ${name}`);
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
  return plan(scenario, selection);
}

/** What a scenario expects on a back end, given the text of its `expect` and what may follow that. */
export function expectations(text: string, backend = "native"): Expectations {
  const [group] = planned(`why: x\nguest: { program: "hlt" }\n${text}`);
  const found = group?.cases.find((c) => c.backend === backend);
  if (!found) throw new Error(`No case on ${backend}`);
  return found.expect;
}

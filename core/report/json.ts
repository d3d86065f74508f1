// Results for programs. The format is stable: keys are only ever added. Two runs of one suite give the same bytes, apart
// from `wallNs`; 64-bit values are hexadecimal strings.
import { hex } from "../base/hex.ts";
import type { CaseResult, ComparisonResult, Figures, GroupResult } from "../judge/result.ts";
import type { Known } from "../judge/known/deviation.ts";
import type { Verdict } from "../judge/verdict.ts";
import type { EndState } from "../trace/exit.ts";
import type { Hidden } from "../trace/trace.ts";
import type { Reporter, SuiteOutcome, Write } from "./reporter.ts";

/** Version of the format. */
export const JSON_VERSION = 1;

/** Writes one JSON document when the run is over. */
export class JsonReporter implements Reporter {
  constructor(readonly write: Write) {}

  report(event: Parameters<Reporter["report"]>[0]): void {
    if (event.type === "finished") this.write(resultsToJson(event.outcome));
  }
}

/** The document, with a line end. */
export function resultsToJson({ groups, summary }: SuiteOutcome): string {
  const document = {
    version: JSON_VERSION,
    cases: groups.flatMap((g): JsonCase[] => g.fault ? [brokenToJson(g)] : g.cases.map(caseToJson)),
    comparisons: groups.flatMap((g) => g.comparisons.map(comparisonToJson)),
    divergences: groups.flatMap(({ id, divergence }) =>
      divergence ? [{ group: id, ...divergence }] : []
    ),
    summary,
  };
  return toJson(document) + "\n";
}

/** JSON with bigints as hexadecimal strings, indented. */
export function toJson(value: unknown): string {
  return JSON.stringify(value, (_, v) => typeof v === "bigint" ? hex(v) : v, 2);
}

/** One case in the document. Everything that a run gives is null where there was none. */
export interface JsonCase {
  readonly id: string;
  readonly scenario: string;
  /** Null, like the engine: a scenario that could not be read. */
  readonly backend: string | null;
  readonly engine: string | null;
  readonly verdict: Verdict;
  readonly reason: string | null;
  /** What the ledger of deviations has on it. */
  readonly known: readonly Known[];
  /** Of a subject outside of trivisor, as it says itself. */
  readonly version: string | null;
  readonly instructions: number | null;
  readonly exits: Figures["exits"] | null;
  readonly cycles: { readonly guest: number; readonly vmm: number } | null;
  readonly wallNs: number | null;
  readonly console: string | null;
  /** As the trace has it: `{ "kind": "shutdown", "code": 0 }`. */
  readonly end: EndState | null;
  /** What the subject could not show; the only kinds of exit that it showed, null: all. */
  readonly unobserved: readonly string[] | null;
  readonly exitKinds: readonly string[] | null;
  /** Devices and kinds of injection that it kept to itself; null: none. */
  readonly hidden: Hidden | null;
  /** What the host's own VMM counted, by its names; never judged. */
  readonly coarse: Readonly<Record<string, number>> | null;
}

function caseToJson({ figures, ...result }: CaseResult): JsonCase {
  return {
    id: result.id,
    scenario: result.scenario,
    backend: result.backend,
    engine: result.engine,
    verdict: result.verdict,
    reason: result.reason ?? null,
    known: result.known ?? [],
    version: result.version ?? null,
    instructions: figures?.instructions ?? null,
    exits: figures?.exits ?? null,
    cycles: figures ? { guest: figures.cycles.guest, vmm: figures.cycles.vmm } : null,
    wallNs: figures?.wallNs ?? null,
    console: figures?.console ?? null,
    end: figures?.end ?? null,
    unobserved: figures ? figures.unobserved ?? [] : null,
    exitKinds: figures?.exitKinds ?? null,
    hidden: figures?.hidden ?? null,
    coarse: figures?.coarse ?? null,
  };
}

function brokenToJson({ id, scenario, verdict, fault }: GroupResult): JsonCase {
  return {
    id,
    scenario,
    backend: null,
    engine: null,
    verdict,
    reason: fault?.text ?? null,
    known: [],
    version: null,
    instructions: null,
    exits: null,
    cycles: null,
    wallNs: null,
    console: null,
    end: null,
    unobserved: null,
    exitKinds: null,
    hidden: null,
    coarse: null,
  };
}

function comparisonToJson(comparison: ComparisonResult) {
  const { group, engine, metric, expected, source, verdict, reason, figures } = comparison;
  return {
    group,
    engine,
    metric,
    expected,
    at: source.at,
    verdict,
    reason: reason ?? null,
    figures,
  };
}

// YAML -> entries of the ledger, or everything that is wrong with it: read as scenarios are.
import { BACKENDS, ENGINES, subjectName } from "../../base/backend.ts";
import { type Diagnostic, didYouMean } from "../../base/diagnostic.ts";
import { describeSpan, type SourceFile } from "../../base/source.ts";
import { Findings } from "../../scenario/findings.ts";
import { asJsonSchema } from "../../scenario/json_schema.ts";
import { checkAgainst } from "../../scenario/structure.ts";
import { itemsOf, type MapNode, type Node, textOf, valueOf } from "../../scenario/yaml/node.ts";
import { parseYaml } from "../../scenario/yaml/parse.ts";
import schemaOfLedgers from "../../../fixtures/known/schema.json" with { type: "json" };
import type { Deviation } from "./deviation.ts";
import { matchesWildcard } from "./wildcard.ts";

const SCHEMA = asJsonSchema(schemaOfLedgers);

const SUBJECTS = ENGINES.flatMap((engine) =>
  BACKENDS.map((backend) => subjectName({ backend, engine }))
);

/** What has become of a file of the ledger. */
export interface ParsedLedger {
  /** Absent if there are errors. */
  readonly deviations?: readonly Deviation[];
  /** Every mistake, in the order of the file. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Reads one file of a ledger. Never throws.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const text = `
 * deviations:
 *   - subject: full-bt@qemu
 *     version: "<8"
 *     cases: paging/remap
 *     about: [console]
 *     reason: It flushes too little.
 *     manual: SDM vol. 3, 4.10.4.1
 *     link: https://example.org/1
 *     until: 2027-06-30
 * `;
 * const { deviations } = parseLedger({ name: "qemu.yaml", text });
 * assertEquals(deviations?.[0]?.cases, ["paging/remap"]);
 * assertEquals(deviations?.[0]?.at, "qemu.yaml:3:5");
 * ```
 */
export function parseLedger(file: SourceFile): ParsedLedger {
  const findings = new Findings();
  const root = parseYaml(file, findings);
  if (!root) return { diagnostics: findings.list() };
  checkAgainst(root, SCHEMA, "ledger", findings);
  const entries = itemsOf(valueOf(root, "deviations"))
    .flatMap((node) => node.kind === "map" ? [node] : []);
  for (const entry of entries) checkEntry(entry, findings);
  if (findings.count > 0) return { diagnostics: findings.list() };
  return { deviations: entries.map(toDeviation), diagnostics: [] };
}

/** What a schema can't say: that there are such subjects, and such a day. */
function checkEntry(entry: MapNode, findings: Findings): void {
  for (const node of nodesOf(entry, "subject")) {
    const pattern = textOf(node);
    if (pattern === undefined || SUBJECTS.some((name) => matchesWildcard(pattern, name))) continue;
    if (!findings.has(node.span)) {
      findings.error(node.span, `No subject is "${pattern}"`, didYouMean(pattern, SUBJECTS));
    }
  }
  const until = valueOf(entry, "until");
  const day = textOf(until);
  if (until && day !== undefined && !findings.has(until.span) && !isDay(day)) {
    findings.error(until.span, `There is no day ${day}`);
  }
}

/** Is it in the calendar? `2027-02-30` is not. */
function isDay(day: string): boolean {
  const time = Date.parse(`${day}T00:00:00Z`);
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(day);
}

/** One or several: the items of a list, or the value itself. */
function nodesOf(entry: MapNode, key: string): readonly Node[] {
  const node = valueOf(entry, key);
  return node === undefined ? [] : node.kind === "list" ? node.items : [node];
}

function toDeviation(entry: MapNode): Deviation {
  const several = (key: string) => nodesOf(entry, key).flatMap((node) => textOf(node) ?? []);
  const text = (key: string) => (textOf(valueOf(entry, key)) ?? "").trim();
  const version = text("version");
  const hosts = several("host");
  return {
    subjects: several("subject"),
    ...(version === "" ? {} : { version }),
    ...(hosts.length > 0 ? { hosts } : {}),
    cases: several("cases"),
    about: several("about"),
    reason: text("reason"),
    manual: text("manual"),
    link: text("link"),
    until: text("until"),
    at: describeSpan(entry.span),
  };
}

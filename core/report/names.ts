// Names of several subjects, side by side in a report.
import { namesAmong, type SubjectId } from "../base/backend.ts";
import type { CaseResult, GroupResult } from "../judge/result.ts";

/** Up to so many names are told in full. */
const FEW = 2;

/** `native, para`; `full-hw@kvm, hybrid@kvm`; of more, `native, full-bt, full-hw @embedded; full-hw @kvm`. */
export function listNames(names: readonly string[]): string {
  const engineOf = (name: string) => name.split("@")[1];
  if (names.length <= FEW || names.every((name) => engineOf(name) === undefined)) {
    return names.join(", ");
  }
  return [...Map.groupBy(names, engineOf)].map(([engine, members]) =>
    `${members.map((name) => name.split("@")[0]).join(", ")} @${engine}`
  ).join("; ");
}

/** Those that ran, which are the ones that a report has to tell apart. */
export function ranOf({ cases }: GroupResult): readonly CaseResult[] {
  return cases.filter((c) => c.verdict !== "skipped");
}

/** `5 back ends`; `7 subjects` where they are on several engines. */
export function countOf(count: number, group: GroupResult): string {
  const engines = new Set(ranOf(group).map((c) => c.engine)).size;
  return `${count} ${engines > 1 ? "subjects" : "back ends"}`;
}

/** `native, para`, or `all 5 back ends` where they are all that ran; in full where there are several engines. */
export function namesOf(cases: readonly SubjectId[], group: GroupResult): string {
  const ran = ranOf(group);
  return cases.length > 2 && cases.length === ran.length
    ? `all ${countOf(ran.length, group)}`
    : listNames(cases.map(namesAmong(ran)));
}

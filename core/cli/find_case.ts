// Finds the one case or group that a user names, by its whole id or a part of it that only it has.
import { BACKENDS, ENGINES, type SubjectId } from "../base/backend.ts";
import { didYouMean } from "../base/diagnostic.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import { Complaint } from "./complaint.ts";
import { prepare, type SelectionOptions } from "./prepare.ts";

/** How many candidates a complaint lists. */
const LISTED = 8;

/** The groups of the scenario of this name; none where there is no such scenario, or it can't be read. */
export async function findScenario(
  name: string,
  options: SelectionOptions,
): Promise<readonly CaseGroup[]> {
  const prepared = await prepare(options);
  return prepared.flatMap((p) => "group" in p && p.group.scenario === name ? [p.group] : []);
}

/** The group that `id` names, itself or by one of its cases; and that case. */
export async function findCase(
  id: string,
  options: SelectionOptions,
): Promise<{ readonly group: CaseGroup; readonly subject?: Case }> {
  const prepared = await prepare(options);
  const groups = prepared.flatMap((p) => "group" in p ? [p.group] : []);
  for (const group of groups) {
    if (group.id === id) return { group };
    // `@para` is enough where the engine is the usual one.
    const subject = group.cases.find((c) => c.id === id || `${group.id}@${c.backend}` === id);
    if (subject) return { group, subject };
    if (!id.startsWith(`${group.id}@`)) continue;
    // One that runs only where it is asked for, as `full-hw/shadow` does.
    const asked = subjectIn(id.slice(group.id.length + 1));
    if (asked && !options.backends) {
      const { backend, engine } = asked;
      return findCase(`${group.id}@${backend}+${engine}`, {
        ...options,
        backends: [backend],
        engines: [engine],
      });
    }
    throw new Complaint(noSubject(id, group));
  }
  const broken = prepared.flatMap((p) =>
    "broken" in p && id.startsWith(p.broken.id) ? [p.broken] : []
  );
  const [first] = broken;
  if (first) throw new Complaint(first.fault?.text ?? "The scenario has errors");
  throw new Complaint(notFound(id, groups));
}

/** `para`, `para+embedded` or `para@embedded`, as ids of cases and tables of subjects write it. */
function subjectIn(text: string): SubjectId | undefined {
  const [name, on = "embedded"] = text.split(/[+@]/);
  const backend = BACKENDS.find((b) => b === name);
  const engine = ENGINES.find((e) => e === on);
  return backend && engine && { backend, engine };
}

function noSubject(id: string, { id: name, cases }: CaseGroup): string {
  const backends = cases.map((c) => c.backend);
  const hint = didYouMean(id.slice(name.length + 1), backends) ?? `It has ${backends.join(", ")}`;
  return `There is no case "${id}". ${hint}`;
}

function notFound(id: string, groups: readonly CaseGroup[]): string {
  const near = groups.filter((g) => g.id.includes(id) || g.scenario === id.split("@")[0]);
  if (near.length > 0) {
    const more = near.length > LISTED ? `\n  and ${near.length - LISTED} more` : "";
    // `console/hello@para` lacks the parameters, not the subject.
    const subject = id.includes("@") ? id.slice(id.indexOf("@")) : "";
    const names = near.slice(0, LISTED).map((g) => `\n  ${g.id}${subject}`).join("");
    return `There is no case "${id}". Did you mean one of these?${names}${more}`;
  }
  const hint = didYouMean(id, groups.map((g) => g.id)) ?? "`trivisor list` shows all";
  return `There is no case "${id}". ${hint}`;
}

// Finds where runs first differ, and runs those that can be stopped there once more, for their registers.
import { namesAmong } from "../base/backend.ts";
import type { Case } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { type AlignedRun, type Camp, type Divergence, firstDivergence } from "./divergence.ts";
import type { RunOutcome } from "./judge.ts";
import { Places } from "./place.ts";

/** Runs a case again, up to so many accesses. */
export type RunAgain = (subject: Case, stopAfter: number) => Promise<RunOutcome>;

/** Where the cases that ran first differ; undefined where they are alike as far as they show it. */
export async function diverge(
  cases: readonly Case[],
  outcomes: ReadonlyMap<string, RunOutcome>,
  again: RunAgain,
): Promise<Divergence | undefined> {
  const nameOf = namesAmong(cases.filter(({ id }) => "trace" in (outcomes.get(id) ?? {})));
  const runs = cases.flatMap((subject) => {
    const outcome = outcomes.get(subject.id);
    if (!outcome || !("trace" in outcome)) return [];
    const { trace, image } = outcome;
    const places = new Places(image);
    return [{ subject, name: nameOf(subject), platform: image?.platform ?? "bare", trace, places }];
  }) satisfies (AlignedRun & { subject: Case })[];
  const found = firstDivergence(runs);
  if (!found || found.aspect !== "events") return found;
  const { accesses } = found;
  const camps: Camp[] = [];
  for (const camp of found.camps) {
    const registers: Record<string, Trace["final"]["registers"]> = {};
    let at = camp.at;
    for (const { subject, name, trace, places } of runs) {
      if (!camp.subjects.includes(name)) continue;
      const stopped = camp.hasEnded ? trace : await stoppedAt(subject, accesses, again);
      // Who can't be stopped there, or keeps its registers to itself, shows none.
      if (!stopped || stopped.unobserved.includes("registers")) continue;
      registers[name] = stopped.final.registers;
      const rip = stopped.final.registers["rip"];
      if (at?.place !== undefined || rip === undefined) continue;
      at = { name: at?.name ?? "event", text: at?.text ?? camp.did, place: places.describe(rip) };
    }
    camps.push({
      ...camp,
      ...(at ? { at } : {}),
      ...(Object.keys(registers).length > 0 ? { registers } : {}),
    });
  }
  return { ...found, camps };
}

async function stoppedAt(
  subject: Case,
  accesses: number | undefined,
  again: RunAgain,
): Promise<Trace | undefined> {
  if (accesses === undefined) return undefined;
  const outcome = await again(subject, accesses);
  if (!("trace" in outcome)) return undefined;
  const { trace } = outcome;
  const made = trace.events.filter((event) => event.type === "access").length;
  const { end } = trace;
  // A run that was over with that access has come to the same place by itself; any other one has run past it.
  return (end.kind === "limit" && end.limit === "events") || made === accesses ? trace : undefined;
}

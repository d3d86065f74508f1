// Holds what came of a case against the ledger: what is known is excused, what is no longer so is a failure.
import { type SubjectId, subjectName } from "../../base/backend.ts";
import type { Check, Difference } from "../result.ts";
import type { Deviation, Known, Ledger } from "./deviation.ts";
import { isInRange } from "./version.ts";
import { matchesAny } from "./wildcard.ts";

/** What ran. */
export interface Ran extends SubjectId {
  /** `console/hello[length=64]@full-hw+kvm` */
  readonly id: string;
  /** `console/hello` */
  readonly scenario: string;
  /** As the subject says; absent: it says none. */
  readonly version?: string;
  /** As the subject says; absent: it says none. */
  readonly host?: string;
}

/** What came of it. */
export interface Result {
  readonly checks: readonly Check[];
  /** From the others. */
  readonly differences: readonly Difference[];
  /** Was there another run to differ from? */
  readonly compared: boolean;
}

/** Is it something that subjects are compared by? All else is a matter of expectations alone. */
export function isCompared(aspect: string): boolean {
  return /^(end|console|registers\.|memory\.|disks\.)/.test(aspect);
}

/** The entries that name this case on this subject. */
export function entriesFor(ran: Ran, { deviations }: Ledger): readonly Deviation[] {
  const subject = subjectName(ran);
  const group = ran.id.slice(0, ran.id.lastIndexOf("@"));
  return deviations.filter(({ subjects, version = "*", hosts, cases }) =>
    matchesAny(subjects, subject) && isInRange(ran.version, version) &&
    (!hosts || (ran.host !== undefined && matchesAny(hosts, ran.host))) &&
    [ran.scenario, group, ran.id].some((id) => matchesAny(cases, id))
  );
}

/** What came out otherwise than expected, or than with the others. */
function deviationsOf({ checks, differences }: Result): string[] {
  const broken = checks.filter((c) => c.status === "not met").map((c) => c.about);
  return [...new Set([...broken, ...differences.map((d) => d.aspect)])];
}

/** What the entries come to, and which aspects nothing excuses. */
export function holdAgainst(
  result: Result,
  entries: readonly Deviation[],
  today: string,
): { readonly known: readonly Known[]; readonly unexcused: readonly string[] } {
  const broken = deviationsOf(result);
  const known = entries.flatMap((entry): Known[] => {
    const about = broken.filter((aspect) => matchesAny(entry.about, aspect));
    const { reason, manual, link, until, at } = entry;
    const told = { reason, manual, link, until, at };
    if (about.length > 0) return [{ state: today > until ? "expired" : "excused", about, ...told }];
    return isGone(entry, result) ? [{ state: "gone", about: entry.about, ...told }] : [];
  });
  const excused = new Set(known.flatMap((k) => k.state === "excused" ? k.about : []));
  return { known, unexcused: broken.filter((aspect) => !excused.has(aspect)) };
}

/**
 * Nothing of it deviates: but is that known? What the subject could not show may, and what it is compared by may differ
 * where there are others to compare with.
 */
function isGone({ about }: Deviation, { checks, compared }: Result): boolean {
  const named = checks.filter((c) => matchesAny(about, c.about));
  if (named.some((c) => c.status === "unobserved")) return false;
  return compared || about.every((aspect) => !isCompared(aspect) && aspect !== "*");
}

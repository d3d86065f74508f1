// Results for people: a line a group as it is done, what failed and why under it, then what it cost, in 80 columns.
import { bold, dim, green, red, yellow } from "@std/fmt/colors";
import { namesAmong } from "../base/backend.ts";
import type { Divergence } from "../judge/divergence.ts";
import type { CaseResult, GroupResult } from "../judge/result.ts";
import { isWorse, summarize, type Summary, type Verdict, worst } from "../judge/verdict.ts";
import { left, WIDTH, widthOf, wrap } from "./columns.ts";
import { explainDivergence } from "./divergence.ts";
import {
  BAR,
  explainCases,
  explainComparison,
  explainFaults,
  explainKnown,
  explainUnobserved,
  isBad,
} from "./failure.ts";
import { countOf, namesOf, ranOf } from "./names.ts";
import { overheadSummary, overheadTable } from "./overhead.ts";
import type { Reporter, SuiteEvent, SuiteOutcome, Write } from "./reporter.ts";

/** Up to so many groups, the overhead of each is shown without asking; beyond, a line a folder. */
const FEW_GROUPS = 3;
/** Up to so many groups, each and every skipped case has its line; beyond, those alike share one, the summary counts skips. */
const EACH_SHOWN = 12;
const ID_WIDTH = 33;

export interface ConsoleOptions {
  /** Show the whole overhead table however many groups there are. */
  readonly overhead?: boolean;
}

/** Writes for a terminal, or a log. */
export class ConsoleReporter implements Reporter {
  #groups = 0;
  /** Groups of one scenario of which there is the same to say: in a long run, they share a line. */
  #held: GroupResult[] = [];
  /** Faults that have been printed: one mistake in a program breaks every set of parameters alike. */
  readonly #told = new Set<string>();

  constructor(readonly write: Write, readonly options: ConsoleOptions = {}) {}

  report(event: SuiteEvent): void {
    switch (event.type) {
      case "started":
        this.#groups = event.groups;
        break;
      case "case":
        break;
      case "group":
        this.#take(event.result);
        break;
      case "finished":
        this.#release();
        this.#lines(this.#closing(event.outcome));
        break;
      default:
        event satisfies never;
    }
  }

  #lines(lines: readonly string[]): void {
    for (const line of lines) this.write(line.trimEnd() + "\n");
  }

  /** Writes the group now, or holds it until it is known whether the next one is like it. */
  #take(group: GroupResult): void {
    const [first] = this.#held;
    const plain = !isBad(group) && (group.warnings ?? []).length === 0;
    const alike = plain && first?.scenario === group.scenario &&
      titleLines(first, "").join() === titleLines(group, "").join();
    if (!alike) this.#release();
    this.#held.push(group);
    if (!plain || this.#groups <= EACH_SHOWN) this.#release();
  }

  /** Writes what is held. */
  #release(): void {
    const [first] = this.#held;
    const name = `${first?.scenario} (${this.#held.length})`;
    if (first) {
      this.#lines(this.#held.length > 1 ? titleLines(first, name) : this.#groupLines(first));
    }
    this.#held = [];
  }

  #groupLines(group: GroupResult): string[] {
    return [
      ...titleLines(group),
      ...explainFaults(group, this.#told),
      ...explainCases(group),
      ...group.comparisons.filter((c) => isBad(c)).flatMap(explainComparison),
      ...(group.divergence ? divergenceLines(group.divergence) : []),
      ...explainKnown(group, this.#groups <= EACH_SHOWN),
      ...(this.#groups <= EACH_SHOWN ? [...explainUnobserved(group), ...skipLines(group)] : []),
    ];
  }

  #closing(outcome: SuiteOutcome): string[] {
    const { groups } = outcome;
    const all = this.options.overhead || groups.length <= FEW_GROUPS;
    const overhead = all ? overheadTable(groups) : overheadSummary(groups);
    return [
      ...(overhead.length > 0 ? ["", ...overhead] : []),
      // Where failures may have scrolled away, their names stand at the end again.
      ...(groups.length > EACH_SHOWN ? failedNames(groups) : []),
      "",
      ...summaryLines(outcome).map((line) => ` ${line}`),
    ];
  }
}

const MARKS: Readonly<Record<Verdict, readonly [text: string, colour: (text: string) => string]>> =
  {
    "passed": ["✓", green],
    "skipped": ["–", dim],
    "unobserved": ["?", yellow],
    "known-deviation": ["~", yellow],
    "flaky": ["±", yellow],
    "failed": ["✗", red],
    "diverged": ["≠", red],
    "error": ["!", red],
  };

function divergenceLines(divergence: Divergence): string[] {
  return explainDivergence(divergence, WIDTH - BAR.length).map((line) => BAR + line);
}

/** One line; two where the name, which is there to be copied, leaves no room for the rest. */
function titleLines(group: GroupResult, name: string = group.id): string[] {
  const { cases, comparisons } = group;
  // Of a group of which something ran, what was skipped is not the point.
  const ran = [...cases, ...comparisons].map((r) => r.verdict).filter((v) => v !== "skipped");
  const [text, colour] = MARKS[ran.length > 0 ? worst(ran) : group.verdict];
  const told = verdictText(group);
  const title = ` ${colour(text)} ${left(name, ID_WIDTH)}`;
  const width = 3 + widthOf(left(name, ID_WIDTH));
  if (width + widthOf(told) <= WIDTH) return [title + told];
  return [title, ...wrap(told, WIDTH - 5).map((line) => `     ${line}`)];
}

/**
 * `5 back ends agree`; `native, para failed; hybrid diverged; 1 comparison failed`; `7 subjects agree, 2 as far as
 * observed; full-bt@qemu deviates as known`.
 */
function verdictText(group: GroupResult): string {
  if (group.fault) return "the scenario has errors";
  const tried = group.cases.filter((c) => c.verdict !== "skipped");
  if (tried.length > 0 && tried.every((c) => c.fault?.by === "scenario")) {
    return "the program has errors";
  }
  const bad = [...Map.groupBy(group.cases.filter(isBad), (c) => c.verdict)].map(
    ([verdict, cases]) => `${namesOf(cases, group)} ${verdict}`,
  );
  const comparisons = group.comparisons.filter(isBad).length;
  if (comparisons > 0) bad.push(`${comparisons} comparison${comparisons > 1 ? "s" : ""} failed`);
  if (bad.length > 0) return bad.join("; ");
  const known = group.cases.filter((c) => c.verdict === "known-deviation");
  const good = ranOf(group).filter((c) => !known.includes(c));
  const told = [
    ...(good.length > 0 ? [agreement(good, group)] : []),
    ...(known.length > 0
      ? [`${namesOf(known, group)} ${known.length > 1 ? "deviate" : "deviates"} as known`]
      : []),
  ];
  return told.length > 0 ? told.join("; ") : "nothing ran";
}

function agreement(good: readonly CaseResult[], group: GroupResult): string {
  const partial = good.filter((c) => c.verdict === "unobserved").length;
  const [only] = good;
  if (good.length === 1 && only) {
    return `${namesOf([only], group)} ${partial > 0 ? "passed as far as observed" : "passed"}`;
  }
  const how = partial === 0
    ? ""
    : partial === good.length
    ? " as far as observed"
    : `, ${partial} as far as observed`;
  return `${countOf(good.length, group)} agree${how}`;
}

/** One entry for all that were skipped for the same reason. */
function skipLines(group: GroupResult): string[] {
  const skipped = group.cases.filter((c) => c.verdict === "skipped");
  const nameOf = namesAmong(group.cases);
  return [...Map.groupBy(skipped, (c) => c.reason ?? "no reason")].flatMap(([reason, cases]) => {
    const who = ` – ${
      left(`${group.id} ${cases.map((c) => `@${nameOf(c).replace("@", "+")}`).join(" ")}`, ID_WIDTH)
    }`;
    const why = `skipped: ${reason}`;
    const lines = widthOf(who + why) <= WIDTH ? [who + why] : [who, `     ${why}`];
    return lines.map(dim);
  });
}

function failedNames(groups: readonly GroupResult[]): string[] {
  const bad = groups.filter((g) => isWorse(g.verdict, "known-deviation"));
  return bad.length > 0 ? ["", ` ${bold("NOT PASSED")}`, ...bad.flatMap((g) => titleLines(g))] : [];
}

/**
 * `cost profile kvm-2017 · 14 cases · 13 passed, 1 failed · 0.21 s`; comparisons that failed and scenarios that could not
 * be read are no cases, and stand apart. Broken at a dot where it is too long for a line.
 */
function summaryLines({ groups, profile, wallNs }: SuiteOutcome): string[] {
  const cases = groups.flatMap((g) => g.cases.map((c) => c.verdict));
  const compared = groups.flatMap((g) => g.comparisons).filter(isBad).length;
  const unread = groups.filter((g) => g.fault).length;
  const parts = [
    `cost profile ${profile}`,
    plural(cases.length, "case"),
    summaryText(summarize(cases)),
    ...(compared > 0 ? [`${plural(compared, "comparison")} failed`] : []),
    ...(unread > 0 ? [`${plural(unread, "scenario")} unreadable`] : []),
    `${(wallNs / 1e9).toFixed(2)} s`,
  ];
  const lines: string[] = [];
  for (const part of parts) {
    const joined = lines.length === 0 ? part : `${lines.at(-1)} · ${part}`;
    if (lines.length > 0 && widthOf(joined) < WIDTH) lines[lines.length - 1] = joined;
    else lines.push(part);
  }
  return lines;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function summaryText(summary: Summary): string {
  const parts = Object.entries(summary).map(([verdict, count]) => `${count} ${verdict}`);
  return parts.length > 0 ? parts.join(", ") : "nothing ran";
}

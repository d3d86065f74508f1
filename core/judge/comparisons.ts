// `compare`: what the scenario says about the cost of one back end beside another's.
import { type Backend, DEFAULT_ENGINE, type Engine, subjectName } from "../base/backend.ts";
import { didYouMean } from "../base/diagnostic.ts";
import type { Comparison } from "../scenario/case.ts";
import { compiledProfile, PROFILE_NAMES } from "../vmm/compiled_profiles.ts";
import { metricOf, priced, unseenBy } from "./metrics.ts";
import { sourceLine } from "./place.ts";
import type { ComparisonResult, Figures } from "./result.ts";
import type { Verdict } from "./verdict.ts";

/** Judges one comparison of a group on one engine. `figures` holds the back ends that ran. */
export function judgeComparison(
  group: string,
  comparison: Comparison,
  figures: ReadonlyMap<Backend, Figures>,
  engine: Engine = DEFAULT_ENGINE,
): ComparisonResult {
  const wanted = backendsOf(comparison);
  const profile = comparison.profile === undefined
    ? undefined
    : compiledProfile(comparison.profile);
  const values: Partial<Record<Backend, number>> = {};
  for (const backend of wanted) {
    const ran = figures.get(backend);
    const value = ran && metricOf(profile ? priced(ran, profile) : ran, comparison.metric);
    if (value !== undefined) values[backend] = value;
  }
  const { verdict, reason } = comparison.profile === undefined || profile
    ? decide(comparison, engine, figures, values)
    : { verdict: "error" as const, reason: unknownProfile(comparison.profile) };
  return {
    group,
    engine,
    metric: comparison.metric,
    expected: describeComparison(comparison),
    source: sourceLine(comparison.span),
    verdict,
    ...(reason ? { reason } : {}),
    figures: values,
  };
}

function unknownProfile(name: string): string {
  const suggestion = didYouMean(name, PROFILE_NAMES);
  return `No cost profile "${name}" ships${suggestion ? `. ${suggestion}` : ""}`;
}

/** The back ends it is about. */
export function backendsOf(comparison: Comparison): readonly Backend[] {
  return comparison.is === "order" ? comparison.order : [comparison.of, comparison.times];
}

/** `para < hybrid < full-hw`; `hybrid at most 0.5 times full-hw`. */
export function describeComparison(comparison: Comparison): string {
  const prices = comparison.profile === undefined ? "" : `, priced by ${comparison.profile}`;
  if (comparison.is === "order") return comparison.order.join(" < ") + prices;
  const { of, times, atMost, atLeast } = comparison;
  const bounds = [
    ...(atLeast === undefined ? [] : [`at least ${atLeast}`]),
    ...(atMost === undefined ? [] : [`at most ${atMost}`]),
  ];
  return `${of} ${bounds.join(" and ")} times ${times}${prices}`;
}

function decide(
  comparison: Comparison,
  engine: Engine,
  figures: ReadonlyMap<Backend, Figures>,
  values: Partial<Record<Backend, number>>,
): { verdict: Verdict; reason?: string } {
  const wanted = backendsOf(comparison);
  const absent = wanted.filter((backend) => !figures.has(backend));
  if (absent.length > 0) return { verdict: "skipped", reason: `${absent.join(", ")} did not run` };
  for (const backend of wanted) {
    const ran = figures.get(backend);
    const unseen = ran && unseenBy(ran, comparison.metric);
    if (!unseen) continue;
    const reason = `${subjectName({ backend, engine })} does not show ${unseen}`;
    return { verdict: "skipped", reason };
  }
  const numbers = wanted.map((backend) => values[backend]);
  if (numbers.some((n) => n === undefined)) {
    return { verdict: "error", reason: `There is no metric "${comparison.metric}"` };
  }
  const broken = comparison.is === "order"
    ? brokenOrder(wanted, values)
    : brokenRatio(values[comparison.of] ?? 0, values[comparison.times] ?? 0, comparison);
  return broken ? { verdict: "failed", reason: broken } : { verdict: "passed" };
}

/** The first pair out of order. */
function brokenOrder(
  order: readonly Backend[],
  values: Partial<Record<Backend, number>>,
): string | undefined {
  for (const [i, left] of order.entries()) {
    const right = order[i + 1];
    if (right === undefined) return undefined;
    const [a, b] = [values[left] ?? 0, values[right] ?? 0];
    if (a >= b) return `${left} has ${a}, not less than ${right}'s ${b}`;
  }
  return undefined;
}

function brokenRatio(
  of: number,
  times: number,
  comparison: Extract<Comparison, { is: "ratio" }>,
): string | undefined {
  const { atMost, atLeast } = comparison;
  const ratio = times === 0 ? "" : `, ${Number((of / times).toPrecision(3))} times as many`;
  const found = `${comparison.of} has ${of}, ${comparison.times} ${times}${ratio}`;
  if (atMost !== undefined && of > atMost * times) return found;
  return atLeast !== undefined && of < atLeast * times ? found : undefined;
}

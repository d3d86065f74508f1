// Tells what became of an expectation on a sequence, pattern by pattern.
import type { EventPattern, Located } from "../scenario/case.ts";
import type { Bindings } from "./match.ts";
import { compilePattern, describePattern, type Happening, type Pattern } from "./pattern.ts";
import { type Places, referTo, sourceLine } from "./place.ts";
import type { Check, CheckLine, CheckStatus, EventRelation } from "./result.ts";
import {
  judgeSequence,
  type PatternStatus,
  type SequenceKind,
  type SequenceStatus,
} from "./sequence.ts";

/** What a sequence expectation is held against. */
export interface SequenceContext {
  readonly about: string;
  readonly events: readonly Happening[];
  /** False: the trace kept the first events only. */
  readonly complete: boolean;
  /** Can this subject see these events at all? */
  readonly seen: boolean;
  /** Are there such events that it does not see? */
  readonly partial: boolean;
  /** Is what this pattern asks for one of them? */
  readonly hidden: (pattern: EventPattern) => "surely" | "perhaps" | "no";
  readonly places: Places;
}

/** Judges one expectation and explains it. */
export function checkSequence(
  kind: SequenceKind,
  located: Located<readonly EventPattern[]>,
  context: SequenceContext,
  bindings: Bindings,
): Check {
  const { about, events, seen, partial } = context;
  if (!seen) return { about, status: "unobserved", source: sourceLine(located.span), lines: [] };
  const hidden = located.value.filter((p) => context.hidden(p) === "surely");
  const perhaps = located.value.filter((p) => context.hidden(p) === "perhaps");
  const visible = located.value.filter((p) => !hidden.includes(p));
  const result = judgeSequence(kind, visible, events, bindings);
  const found = statusOf(kind, result, context.complete);
  const judged = found === "not met" && perhaps.length > 0 && isOpen() ? "unobserved" : found;
  // What is hidden is never met in silence; what is shown is held to as anywhere.
  const isPartial = hidden.length > 0 || (kind === "exactly" && partial) ||
    (kind === "never" && perhaps.length > 0);
  const status = judged === "met" && isPartial ? "unobserved" : judged;
  /** Could those that are perhaps hidden be what is missing? */
  function isOpen(): boolean {
    if (kind === "exactly" || kind === "never") return kind === "exactly";
    const certain = visible.filter((p) => !perhaps.includes(p));
    return statusOf(kind, judgeSequence(kind, certain, events, bindings), true) === "met";
  }
  const names = result.names ?? bindings;
  const lines = result.patterns.map((p) => lineOf(kind, p, context, status, names));
  if (isPartial) lines.push(...hiddenLines(kind, hidden));
  // The line to look at is that of the first pattern that has no match.
  const unmet = result.patterns.find((p) => !p.met);
  const source = sourceLine(unmet ? unmet.pattern.source.span : located.span);
  const surplus = result.surplus === undefined ? undefined : events[result.surplus];
  if (status === "not met" && surplus && result.surplus !== undefined) {
    lines.push({
      status: "not met",
      expected: "nothing more",
      actual: `${events.length - result.surplus} more`,
      event: referTo(surplus, result.surplus, context.places),
      relation: "first",
    });
  }
  if (result.undecided) {
    lines.push({
      status: "not met",
      expected: "a match found within the search limit",
      actual: "gave up: use fewer bound names or ranges of times",
    });
  } else if (judged === "unobserved") {
    lines.push({
      status: judged,
      expected: "the whole trace",
      actual: "events beyond its limit were dropped",
    });
  }
  return { about, status, source, lines };
}

/** Those left out of the matching; of `exactly`, that there was nothing else that is not shown. */
function hiddenLines(kind: SequenceKind, hidden: readonly EventPattern[]): CheckLine[] {
  const never = kind === "never" ? "never " : "";
  const rest = kind === "exactly" ? ["nothing more of what it does not show"] : [];
  return [...hidden.map((p) => never + describePattern(compilePattern(p))), ...rest]
    .map((expected) => ({ status: "unobserved", expected }));
}

/** With events dropped, only what the kept ones prove is certain. */
function statusOf(
  kind: SequenceKind,
  { met, surplus, patterns }: SequenceStatus,
  complete: boolean,
): CheckStatus {
  if (complete) return met ? "met" : "not met";
  switch (kind) {
    case "inOrder":
    case "anyOrder":
      // What is counted may go on among the dropped ones, and a row may have had gaps.
      return met && !patterns.some((p) => p.pattern.source.times) ? "met" : "unobserved";
    case "never":
      return met ? "unobserved" : "not met";
    case "exactly":
      return surplus === undefined ? "unobserved" : "not met";
    default:
      return kind satisfies never;
  }
}

function lineOf(
  kind: SequenceKind,
  { pattern, met, event, count, earlier }: PatternStatus,
  { events, places }: SequenceContext,
  overall: CheckStatus,
  names: Bindings,
): CheckLine {
  const status = met ? "met" : overall === "unobserved" ? "unobserved" : "not met";
  const text = describePattern(pattern, overall === "met" ? undefined : names);
  const expected = kind === "never" ? `never ${text}` : text;
  const happening = event === undefined ? undefined : events[event];
  // Of a check that holds, nobody asks where: only failures are worth the disassembly.
  const told = overall === "met" || !happening || event === undefined ? {} : {
    event: referTo(happening, event, places),
    ...(met ? {} : { relation: relationOf(kind, pattern, earlier ?? false) }),
  };
  const counted = count !== undefined && pattern.source.times
    ? { actual: kind === "anyOrder" ? `${count} in all` : `${count} in a row` }
    : {};
  const nothing = met || happening ? {} : { actual: absence(pattern, events) };
  return { status, expected, ...nothing, ...counted, ...told };
}

/** Why not even a candidate is there. */
function absence({ kind }: Pattern, events: readonly Happening[]): string {
  return events.some((e) => e.kind === kind)
    ? `every ${kind} that would do is another line's`
    : `there is no ${kind}`;
}

function relationOf(kind: SequenceKind, { source }: Pattern, earlier: boolean): EventRelation {
  if (earlier) return "earlier";
  if (kind === "exactly" || kind === "never") return "instead";
  return kind === "anyOrder" && source.times ? "first" : "nearest";
}

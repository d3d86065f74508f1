// Holds a trace against what is expected of one subject: a check for every expectation, in a fixed order, so that a
// name (`$x`) bound by an earlier one holds in all later ones.
import { own } from "../base/own.ts";
import type {
  BytesMatcher,
  EndMatcher,
  EventPattern,
  Expectations,
  Located,
  SequenceExpectation,
} from "../scenario/case.ts";
import { LIMIT_NAMES } from "../scenario/vocabulary.ts";
import type { EndState } from "../trace/exit.ts";
import { describeEnd, kebab } from "../trace/print.ts";
import type { Observable, Trace, TraceEvent } from "../trace/trace.ts";
import { hides, hidesKind, hidesSome, hidesSomeOf, type Sequences } from "./hidden.ts";
import {
  type Bindings,
  describeBytesMatcher,
  describeValueMatcher,
  littleEndian,
  matchBytes,
  matchValue,
  showBytes,
  showValue,
  toValue,
} from "./match.ts";
import type { Happening } from "./pattern.ts";
import { type Places, sourceLine } from "./place.ts";
import type { Check, CheckLine, CheckStatus } from "./result.ts";
import { checkSequence } from "./sequence_check.ts";
import { stoppedElsewhere } from "./uncounted.ts";

/** All checks of one case. */
export function checkExpectations(expect: Expectations, trace: Trace, places: Places): Check[] {
  const bindings: Bindings = new Map();
  const checks = [
    ...checkSequences("exits", expect.exits, trace, bindings, places),
    ...checkSequences("accesses", expect.accesses, trace, bindings, places),
    ...checkSequences("injections", expect.injections, trace, bindings, places),
    ...checkConsole(expect, trace, bindings),
    checkEnd(expect.end, trace, bindings, places),
    ...checkRegisters(expect, trace, bindings),
    ...checkMemory(expect, trace, bindings),
  ];
  // Stopped somewhere else than it should be, the guest has done more, or less, than the rest is about.
  const stopped = checks.some((c) => c.about === "end" && c.status === "unobserved");
  return stopped ? checks.map((c) => c.status === "not met" ? unobservedAll(c) : c) : checks;
}

function unobservedAll(check: Check): Check {
  const lines = check.lines.map((line): CheckLine =>
    line.status === "not met" ? { ...line, status: "unobserved" } : line
  );
  return { ...check, status: "unobserved", lines };
}

/** A check of one value. */
function single(
  about: string,
  located: Located<unknown>,
  seen: boolean,
  met: () => boolean,
  expected: string,
  actual: string,
): Check {
  const status: CheckStatus = !seen ? "unobserved" : met() ? "met" : "not met";
  const line: CheckLine = { status, expected, ...(status === "not met" ? { actual } : {}) };
  return { about, status, source: sourceLine(located.span), lines: [line] };
}

function observed(trace: Trace, what: Observable): boolean {
  return !trace.unobserved.includes(what);
}

/** The events of one sequence. */
export function happenings(trace: Trace, which: Sequences): Happening[] {
  return trace.events.flatMap((event): Happening[] => {
    const happening = happeningOf(event, which);
    if (!happening) return [];
    return [event.cpu === undefined ? happening : { ...happening, cpu: event.cpu }];
  });
}

function happeningOf(event: TraceEvent, which: Sequences): Happening | undefined {
  if (event.type === "exit") return which === "exits" ? event.exit : undefined;
  if (event.type === "access") return which === "accesses" ? event.access : undefined;
  return event.type === "injection" && which === "injections" ? event.injection : undefined;
}

function checkSequences(
  which: Sequences,
  expected: SequenceExpectation | undefined,
  trace: Trace,
  bindings: Bindings,
  places: Places,
): Check[] {
  if (!expected) return [];
  const checks: Check[] = [];
  const seen = observed(trace, which);
  // Of other kinds a subject may show some: what it does not show whole is not judged.
  const events = happenings(trace, which)
    .filter(({ kind }) => !hidesKind(trace, which, kind));
  for (const kind of ["exactly", "inOrder", "anyOrder", "never"] as const) {
    const located = expected[kind];
    if (!located) continue;
    const about = `${which}.${kebab(kind)}`;
    const complete = trace.dropped === 0;
    const partial = hidesSome(trace, which);
    const hidden = (pattern: EventPattern) => hides(trace, which, pattern);
    const context = { about, events, complete, seen, places, partial, hidden };
    checks.push(checkSequence(kind, located, context, bindings));
  }
  for (const [kind, located] of Object.entries(expected.counts ?? {})) {
    const count = countOf(trace, which, kind);
    checks.push(single(
      `${which}.counts.${kind}`,
      located,
      seen && !hidesSomeOf(trace, which, kind),
      () => matchValue(located.value, BigInt(count), bindings),
      `${kind}: ${describeValueMatcher(located.value, "decimal")}`,
      String(count),
    ));
  }
  return checks;
}

/** How many events of a kind there were, or `total`; exact even where events were dropped. */
export function countOf(trace: Pick<Trace, "counts">, which: Sequences, kind: string): number {
  const { exits, accesses, injections } = trace.counts;
  if (which === "exits" && kind === "total") return exits.total;
  const counts = Object.entries(
    which === "exits" ? exits.kinds : which === "accesses" ? accesses : injections,
  );
  return counts
    .filter(([name]) => kind === "total" || name === kind)
    .reduce((sum, [, count]) => sum + (count ?? 0), 0);
}

function checkConsole({ console }: Expectations, trace: Trace, bindings: Bindings): Check[] {
  if (!console) return [];
  return [single(
    "console",
    console,
    observed(trace, "console"),
    () => matchBytes(console.value, trace.console, bindings),
    describeBytesMatcher(console.value),
    showActual(console.value, trace.console),
  )];
}

/** Ends that no scenario need rule out: without an expectation, they fail. */
const BAD_ENDS: ReadonlySet<EndState["kind"]> = new Set([
  "crash",
  "limit",
  "triple-fault",
  "unported",
]);

/** Ends at an instruction that the end itself does not name: where the instruction pointer was left. */
const STOPPED_ENDS: ReadonlySet<EndState["kind"]> = new Set(["limit", "triple-fault"]);

function checkEnd(
  located: Located<EndMatcher> | undefined,
  trace: Trace,
  bindings: Bindings,
  places: Places,
): Check {
  const { end, final } = trace;
  const met = located ? matchEnd(located.value, end, bindings) : !BAD_ENDS.has(end.kind);
  const status = met
    ? "met"
    : located && isUncounted(located.value, trace)
    ? "unobserved"
    : "not met";
  const rip = "rip" in end
    ? end.rip
    : STOPPED_ENDS.has(end.kind)
    ? final.registers["rip"]
    : undefined;
  const place = rip === undefined ? "" : `, in ${places.describe(rip)}`;
  return {
    about: "end",
    status,
    ...(located ? { source: sourceLine(located.span) } : {}),
    lines: [{
      status,
      expected: located ? describeEndMatcher(located.value) : "shutdown or halt",
      ...(met ? {} : { actual: describeEnd(end) + place }),
    }],
  };
}

/** Is it to end by a limit on what this subject does not count, and was it stopped by another one? */
function isUncounted(matcher: EndMatcher, trace: Trace): boolean {
  return matcher.kind === "limit" &&
    LIMIT_NAMES.some((limit) =>
      stoppedElsewhere(trace, limit) && matchValue(matcher.limit, limit, new Map())
    );
}

function matchEnd(matcher: EndMatcher, end: EndState, bindings: Bindings): boolean {
  switch (matcher.kind) {
    case "any":
      return true;
    case "halt":
    case "triple-fault":
      return end.kind === matcher.kind;
    case "shutdown":
      return end.kind === "shutdown" && matchValue(matcher.code, toValue(end.code), bindings);
    case "unported":
      return end.kind === "unported" && matchValue(matcher.instruction, end.instruction, bindings);
    case "limit":
      return end.kind === "limit" && matchValue(matcher.limit, end.limit, bindings);
    case "crash":
      return end.kind === "crash" && matchReason(matcher.reason, end.reason, bindings);
    default:
      return matcher satisfies never;
  }
}

/** A crash's reason is a sentence: a literal is looked for in it. */
function matchReason(
  matcher: Extract<EndMatcher, { kind: "crash" }>["reason"],
  reason: string,
  bindings: Bindings,
): boolean {
  return matcher.is === "literal" && typeof matcher.value === "string"
    ? reason.includes(matcher.value)
    : matchValue(matcher, reason, bindings);
}

/** An end as a scenario states it. */
export function describeEndMatcher(matcher: EndMatcher): string {
  switch (matcher.kind) {
    case "any":
      return "any end";
    case "halt":
      return "halt";
    case "triple-fault":
      return "triple fault";
    case "shutdown":
      return `shutdown ${describeValueMatcher(matcher.code, "decimal")}`;
    case "unported":
      return `unported instruction ${describeValueMatcher(matcher.instruction)}`;
    case "limit":
      return `stopped by the limit on ${describeValueMatcher(matcher.limit)}`;
    case "crash":
      return `crash: ${describeValueMatcher(matcher.reason)}`;
    default:
      return matcher satisfies never;
  }
}

function checkRegisters({ registers }: Expectations, trace: Trace, bindings: Bindings): Check[] {
  return Object.entries(registers).map(([name, located]) => {
    const value = own(trace.final.registers, name);
    return single(
      `registers.${name}`,
      located,
      observed(trace, "registers") && value !== undefined,
      () => matchValue(located.value, value, bindings),
      `${name} = ${describeValueMatcher(located.value, "both", bindings)}`,
      showValue(value, "both"),
    );
  });
}

function checkMemory({ memory }: Expectations, trace: Trace, bindings: Bindings): Check[] {
  return Object.entries(memory).map(([label, located]) => {
    const bytes = own(trace.final.memory, label);
    return single(
      `memory.${label}`,
      located,
      observed(trace, "memory") && bytes !== undefined,
      () => bytes !== undefined && matchBytes(located.value, bytes, bindings),
      describeBytesMatcher(located.value),
      bytes ? showActual(located.value, bytes) : "not captured",
    );
  });
}

/** Differences further in than this are shown where they are: the beginnings would look alike. */
const SHOWN_FROM_START = 24;

/** What there was instead of what the matcher wants, in the same terms. */
function showActual(matcher: BytesMatcher, bytes: Uint8Array): string {
  if (matcher.is === "integer") return showValue(littleEndian(bytes), "both");
  if (matcher.is !== "equal" && matcher.is !== "starts-with") return showBytes(bytes);
  const wanted = matcher.bytes;
  let at = 0;
  while (at < wanted.length && wanted[at] === bytes[at]) at++;
  if (at < SHOWN_FROM_START) return showBytes(bytes);
  const [here, there] = [bytes, wanted].map((all) =>
    at < all.length ? showBytes(all.slice(at), SHOWN_FROM_START) : "the end"
  );
  return `the same up to byte ${at}, then ${here} in place of ${there}`;
}

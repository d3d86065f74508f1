// Did all back ends behave alike? Compared are the end, the console, and what the scenario observes; how it came about
// (exits, cycles) is what they may differ in.
import { own } from "../base/own.ts";
import { namesAmong } from "../base/backend.ts";
import type { Case, GuestSpec } from "../scenario/case.ts";
import type { EndState, Exit } from "../trace/exit.ts";
import { describeEnd } from "../trace/print.ts";
import type { Observable, Trace } from "../trace/trace.ts";
import { showBytes, showValue } from "./match.ts";
import { type Places, referTo } from "./place.ts";
import type { Difference } from "./result.ts";
import { stoppedElsewhere } from "./uncounted.ts";

/** A run to compare. */
export interface Run {
  readonly subject: Case;
  readonly trace: Trace;
  readonly places: Places;
}

/** One thing that must come out equal. */
interface Aspect {
  readonly name: string;
  readonly needs?: Observable;
  /** Where this subject's expectation of it is written: subjects of which different things are expected differ by design. */
  expectedAt(subject: Case): number | undefined;
  /** What came out; undefined where it was not captured. */
  value(trace: Trace): bigint | Uint8Array | string | undefined;
}

/** What each run disagrees in with the others, by case id, in a fixed order: the end, the console, what is observed. */
export function findDifferences(
  all: readonly Run[],
  observe: GuestSpec["observe"],
): Map<string, readonly Difference[]> {
  const differences = new Map<string, readonly Difference[]>();
  const naming = namesAmong(all.map(({ subject }) => subject));
  const nameOf = ({ subject }: Run) => naming(subject);
  const endAspect = aspectOfEnd;
  const runs = comparable(all);
  const alikeEnd = largestPartition(runs, endAspect);
  for (const aspect of [endAspect, ...aspectsOf(runs, observe)]) {
    // A subject that ends otherwise, and was expected to, did not run the whole program: the rest can't be compared.
    const alike = aspect === endAspect ? runs : runs.filter((r) => alikeEnd.includes(r));
    for (const partition of partitions(alike, aspect)) {
      for (const [run, difference] of compare(partition, aspect, nameOf)) {
        const { id } = run.subject;
        differences.set(id, [...differences.get(id) ?? [], difference]);
      }
    }
  }
  return differences;
}

/** Without those that were stopped by another limit than the others, because they do not count what that one is on. */
function comparable(all: readonly Run[]): readonly Run[] {
  const limits = all.flatMap(({ trace: { end } }) => end.kind === "limit" ? [end.limit] : []);
  return all.filter(({ trace }) => !limits.some((limit) => stoppedElsewhere(trace, limit)));
}

const aspectOfEnd: Aspect = {
  name: "end",
  expectedAt: ({ expect }) => expect.end?.span.start,
  value: ({ end }) => endText(end),
};

/** The end without addresses: where the VMM gave up is a matter of technique. */
function endText(end: EndState): string {
  switch (end.kind) {
    case "crash":
      return "crash";
    case "unported":
      return `unported instruction ${end.instruction}`;
    default:
      return describeEnd(end);
  }
}

const UNPORTED_HINT = ". Port it to a pv-op, or name it in `expected-unported`";

function aspectsOf(runs: readonly Run[], observe: GuestSpec["observe"]): Aspect[] {
  const disks = Math.max(0, ...runs.map((r) => r.trace.final.disks.length));
  return [
    {
      name: "console",
      needs: "console",
      expectedAt: ({ expect }) => expect.console?.span.start,
      value: (trace) => trace.console,
    },
    ...observe.registers.map((name): Aspect => ({
      name: `registers.${name}`,
      needs: "registers",
      expectedAt: ({ expect }) => own(expect.registers, name)?.span.start,
      value: ({ final }) => own(final.registers, name),
    })),
    ...Object.keys(observe.memory).map((label): Aspect => ({
      name: `memory.${label}`,
      needs: "memory",
      expectedAt: ({ expect }) => own(expect.memory, label)?.span.start,
      value: ({ final }) => own(final.memory, label),
    })),
    ...Array.from({ length: disks }, (_, n): Aspect => ({
      name: `disks.${n}`,
      needs: "disks",
      expectedAt: () => undefined,
      value: ({ final }) => final.disks[n],
    })),
  ];
}

/** Runs of which the same is expected, in order of their first. */
function partitions(runs: readonly Run[], aspect: Aspect): Run[][] {
  const byPlace = Map.groupBy(runs, ({ subject }) => aspect.expectedAt(subject));
  return [...byPlace.values()];
}

function largestPartition(runs: readonly Run[], aspect: Aspect): readonly Run[] {
  return partitions(runs, aspect).reduce<Run[]>((a, b) => b.length > a.length ? b : a, []);
}

/** Those of the runs that disagree with most of the others about one aspect. */
function compare(
  runs: readonly Run[],
  aspect: Aspect,
  nameOf: (run: Run) => string,
): (readonly [Run, Difference])[] {
  const { name, needs } = aspect;
  const seen = runs.flatMap((run) => {
    const value = needs && run.trace.unobserved.includes(needs)
      ? undefined
      : aspect.value(run.trace);
    return value === undefined ? [] : [{ run, value }];
  });
  const camps = new Map<string, typeof seen>();
  for (const entry of seen) {
    const key = keyOf(entry.value);
    camps.set(key, [...camps.get(key) ?? [], entry]);
  }
  if (camps.size < 2) return [];
  const ranked = [...camps.values()].sort((a, b) =>
    rank(b.map((e) => e.run)) - rank(a.map((e) => e.run))
  );
  const [first = [], second = []] = ranked;
  const majority = rank(first.map((e) => e.run)) > rank(second.map((e) => e.run));
  const [reference] = first;
  if (!reference) return [];
  const agree = majority ? first.map((e) => nameOf(e.run)) : [];
  return ranked.flatMap((camp) => {
    if (majority && camp === first) return [];
    const other = camp === first ? second[0] ?? reference : reference;
    return camp.map(({ run, value }) =>
      [run, differenceOf(name, run, value, other.value, agree, nameOf(other.run))] as const
    );
  });
}

/** A camp's weight: its size; among equals, `native` is right. */
function rank(camp: readonly Run[]): number {
  return camp.length + (camp.some((r) => r.subject.backend === "native") ? 0.5 : 0);
}

function keyOf(value: bigint | Uint8Array | string): string {
  // Latin-1 text of the bytes: unequal bytes give unequal keys.
  if (!(value instanceof Uint8Array)) return String(value);
  return new TextDecoder("utf-16le").decode(evenly(value));
}

/** Each byte as the low half of a 16-bit unit. */
function evenly(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const wide = new Uint8Array(bytes.length * 2);
  for (const [i, byte] of bytes.entries()) wide[2 * i] = byte;
  return wide;
}

function differenceOf(
  aspect: string,
  run: Run,
  value: bigint | Uint8Array | string,
  other: bigint | Uint8Array | string,
  agree: readonly string[],
  against: string,
): Difference {
  const as = agree.length > 0 ? "" : ` (${against})`;
  if (value instanceof Uint8Array && other instanceof Uint8Array) {
    const at = firstDifference(value, other);
    const exit = aspect === "console" ? exitBefore(run, at) : undefined;
    return {
      aspect,
      text: `byte ${at}: ${tail(value, at)} instead of ${tail(other, at)}${as}`,
      agree,
      ...(exit ? { event: exit } : {}),
    };
  }
  const last = aspect === aspectOfEnd.name ? lastExit(run) : undefined;
  const { end } = run.trace;
  const here = aspect === aspectOfEnd.name ? describeEnd(end) : show(value);
  const hint = aspect === aspectOfEnd.name && end.kind === "unported" ? UNPORTED_HINT : "";
  return {
    aspect,
    text: `${here} instead of ${show(other)}${as}${hint}`,
    agree,
    ...(last ? { event: last } : {}),
  };
}

function show(value: bigint | Uint8Array | string): string {
  return value instanceof Uint8Array ? showBytes(value) : showValue(value);
}

function tail(bytes: Uint8Array, at: number): string {
  return at >= bytes.length ? `the end (${bytes.length} bytes)` : showBytes(bytes.slice(at), 8);
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const end = Math.min(a.length, b.length);
  for (let i = 0; i < end; i++) if (a[i] !== b[i]) return i;
  return end;
}

/** The last exit before console byte number `at` came out. */
function exitBefore({ trace, places }: Run, at: number) {
  let bytes = 0;
  let exits = 0;
  let last: Exit | undefined;
  for (const event of trace.events) {
    if (event.type === "exit") {
      last = event.exit;
      exits++;
    } else if (event.type === "console" && (bytes += event.bytes.length) > at) break;
  }
  return last && referTo(last, exits - 1, places);
}

function lastExit({ trace, places }: Run) {
  const exits = trace.events.flatMap((e) => e.type === "exit" ? [e.exit] : []);
  const last = exits.at(-1);
  return last && referTo(last, exits.length - 1, places);
}

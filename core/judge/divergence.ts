// Where runs of one case on several subjects first differ: in what devices saw, in what was printed, in how they ended. It
// looks at what the guest does and is told; how a VMM brings it about (exits) is what subjects may differ in.
import type { Platform } from "../guest/image.ts";
import type { Access, EndState } from "../trace/exit.ts";
import { describeAccess, describeEnd, describeInjection } from "../trace/print.ts";
import { MAX_EVENTS, type Observable, type Trace, type TraceEvent } from "../trace/trace.ts";
import { hidesSome } from "./hidden.ts";
import { showBytes } from "./match.ts";
import { type Places, referTo } from "./place.ts";
import type { EventReference } from "./result.ts";

/** A run to align with others. */
export interface AlignedRun {
  /** `full-hw@kvm` */
  readonly name: string;
  /** What its guest was built for: guests for other platforms make other accesses, by design. */
  readonly platform: Platform;
  readonly trace: Trace;
  readonly places: Places;
}

/** Subjects that did the same where others did something else. */
export interface Camp {
  /** In the order of the runs. */
  readonly subjects: readonly string[];
  /** What they did: an event, bytes of the console, an end. */
  readonly did: string;
  /** Their runs were over. */
  readonly hasEnded?: true;
  /** The place in the program and the instruction, as far as one of them shows it. */
  readonly at?: EventReference;
  /** Registers of each of them right after it, by subject; a subject that can't be stopped there is missing. */
  readonly registers?: Readonly<Record<string, Readonly<Record<string, bigint>>>>;
}

/** The first difference. */
export interface Divergence {
  /** `event 17`, `console byte 5`, `the end`. */
  readonly where: string;
  /** In which of them it is. */
  readonly aspect: "events" | "console" | "end";
  /** How many accesses a run makes up to and including it; absent where it is in none. */
  readonly accesses?: number;
  /** The largest first; of equals, the first. */
  readonly camps: readonly Camp[];
  /** The last event that all have in common. */
  readonly before?: EventReference;
  /** Subjects that do not show what is compared. */
  readonly unobserved: readonly string[];
}

/** An event that the guest can tell. */
interface Step {
  readonly key: string;
  readonly text: string;
  /** Index in the trace. */
  readonly index: number;
}

/**
 * The first difference between the runs, or undefined where they are alike as far as they show it. Events first: of several
 * platforms, those of the first on which two runs differ.
 */
export function firstDivergence(runs: readonly AlignedRun[]): Divergence | undefined {
  for (const alike of Map.groupBy(runs, (r) => r.platform).values()) {
    const found = alike.length > 1 ? divergenceOfEvents(alike) : undefined;
    if (found) return found;
  }
  return divergenceOfConsole(runs) ?? divergenceOfEnd(runs);
}

function splitBy(runs: readonly AlignedRun[], what: Observable) {
  const shown = runs.filter((r) => !r.trace.unobserved.includes(what));
  const unobserved = runs.filter((r) => !shown.includes(r)).map((r) => r.name);
  return { shown, unobserved };
}

function divergenceOfEvents(runs: readonly AlignedRun[]): Divergence | undefined {
  const { shown, unobserved } = splitBy(runs, "accesses");
  // An interrupt that one of them hides would put all that follows out of step.
  const injections = splitBy(shown, "injections").unobserved.length === 0 &&
    shown.every(({ trace }) => !hidesSome(trace, "injections"));
  // And so would an access to a device that is below the VMM of one of them.
  const hidden = shown.flatMap(({ trace }) => trace.hidden?.devices ?? []);
  const kinds = shown.flatMap(({ trace }) => trace.hidden?.accesses ?? []);
  const isHidden = (access: Access) =>
    kinds.includes(access.kind) ||
    "address" in access && hidden.some((device) =>
        device.kind === access.kind && access.address >= device.first &&
        access.address <= device.last
      );
  const all = shown.map((run) => ({ run, steps: stepsOf(run.trace, { injections, isHidden }) }));
  const longest = Math.max(...all.map(({ steps }) => steps.length));
  for (let n = 0; n < longest; n++) {
    const known = all.filter(({ run, steps }) => n < steps.length || isWhole(run.trace));
    const camps = Map.groupBy(known, ({ steps }) => steps[n]?.key ?? "");
    if (camps.size < 2) continue;
    const last = known.map(({ run, steps }) => reference(run, steps[n - 1]));
    const before = last.find((r) => r?.place) ?? last.find((r) => r);
    const accesses = Math.max(...known.map(({ run, steps }) => accessesUpTo(run.trace, steps[n])));
    return {
      where: `event ${n + 1}`,
      aspect: "events",
      ...(accesses > 0 ? { accesses } : {}),
      camps: bySize(
        [...camps.values()].map((members): Camp => {
          const subjects = members.map(({ run }) => run.name);
          const [member] = members;
          const step = member?.steps[n];
          if (!member || !step) {
            const ends = [...new Set(members.map(({ run }) => describeEnd(run.trace.end)))];
            return { subjects, did: `nothing more; the end: ${ends.join(", ")}`, hasEnded: true };
          }
          const at = members.map((m) => reference(m.run, m.steps[n])).find((r) => r?.place);
          return { subjects, did: step.text, ...(at ? { at } : {}) };
        }),
      ),
      ...(before ? { before } : {}),
      unobserved,
    };
  }
  return undefined;
}

/** Is it known that nothing came after what is there? Not beyond a list that is full, nor where a limit ended the run. */
function isWhole({ dropped, end }: Trace): boolean {
  return dropped === 0 && end.kind !== "limit";
}

function bySize(camps: readonly Camp[]): Camp[] {
  return camps.toSorted((a, b) => b.subjects.length - a.subjects.length);
}

/** What the guest can tell of a run, in order. */
function stepsOf(
  { events, dropped }: Trace,
  { injections, isHidden }: {
    readonly injections: boolean;
    readonly isHidden: (access: Access) => boolean;
  },
): Step[] {
  const kept = dropped > 0 ? events.slice(0, MAX_EVENTS) : events;
  return kept.flatMap((event, index): Step[] => {
    switch (event.type) {
      case "access":
        if (isHidden(event.access)) return [];
        return [{ key: keyOf(event.access), text: describeAccess(event.access), index }];
      case "injection": {
        if (!injections) return [];
        const text = describeInjection(event.injection);
        return [{ key: text, text, index }];
      }
      default:
        return [];
    }
  });
}

/** Everything but what a device is called. */
function keyOf(access: Access): string {
  switch (access.kind) {
    case "io":
    case "mmio":
      return [access.kind, access.address, access.direction, access.size, access.value].join();
    case "queue-notify":
      return `${access.kind},${access.queue}`;
    case "device-needs-reset":
      return access.kind;
    default:
      return access satisfies never;
  }
}

function accessesUpTo({ events }: Trace, step: Step | undefined): number {
  if (!step) return 0;
  return events.slice(0, step.index + 1).filter((e) => e.type === "access").length;
}

/** The step told with its place: that of the exit which made it, where there is one. */
function reference(
  { trace, places }: AlignedRun,
  step: Step | undefined,
): EventReference | undefined {
  if (!step) return undefined;
  const exit = exitBefore(trace.events, step.index);
  const place = exit && referTo(exit, 0, places);
  return { ...place, name: `event`, text: step.text };
}

/** The exit that an access came of: nothing but console bytes stands between them. */
function exitBefore(events: readonly TraceEvent[], index: number) {
  for (let at = index - 1; at >= 0; at--) {
    const event = events[at];
    if (event?.type === "exit") return event.exit;
    if (event?.type !== "console") return undefined;
  }
  return undefined;
}

/** Bytes shown of what came out from the first different one on. */
const SHOWN = 16;

function divergenceOfConsole(runs: readonly AlignedRun[]): Divergence | undefined {
  const { shown, unobserved } = splitBy(runs, "console");
  const longest = Math.max(0, ...shown.map((r) => r.trace.console.length));
  for (let at = 0; at < longest; at++) {
    const known = shown.filter(({ trace }) => at < trace.console.length || isWhole(trace));
    const camps = Map.groupBy(known, ({ trace }) => trace.console[at]);
    if (camps.size < 2) continue;
    return {
      where: `console byte ${at}`,
      aspect: "console",
      camps: bySize([...camps.values()].map((members): Camp => {
        const [first] = members;
        const bytes = first?.trace.console.slice(at) ?? new Uint8Array();
        return {
          subjects: members.map((m) => m.name),
          did: bytes.length > 0 ? showBytes(bytes, SHOWN) : `nothing more after ${at} bytes`,
        };
      })),
      unobserved,
    };
  }
  return undefined;
}

function divergenceOfEnd(runs: readonly AlignedRun[]): Divergence | undefined {
  const camps = Map.groupBy(runs, ({ trace }) => endKey(trace.end));
  if (camps.size < 2) return undefined;
  return {
    where: "the end",
    aspect: "end",
    camps: bySize([...camps.values()].map((members): Camp => {
      const [first] = members;
      const rip = first?.trace.final.registers["rip"];
      const at = first && rip !== undefined
        ? { name: "the end", text: "", place: first.places.describe(rip) }
        : undefined;
      return {
        subjects: members.map((m) => m.name),
        did: first ? describeEnd(first.trace.end) : "",
        ...(at ? { at } : {}),
      };
    })),
    unobserved: [],
  };
}

/** An end without what is a matter of technique: its address. */
function endKey(end: EndState): string {
  return "rip" in end ? end.kind : describeEnd(end);
}

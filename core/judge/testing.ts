// Made-up traces, patterns and groups, for the tests of judge and reports.
import { type Backend, DEFAULT_ENGINE, type Engine } from "../base/backend.ts";
import type { SourceFile, Span } from "../base/source.ts";
import type {
  Case,
  CaseGroup,
  Comparison,
  EventPattern,
  Expectations,
  Located,
  ValueMatcher,
} from "../scenario/case.ts";
import { DEFAULT_LIMITS } from "../scenario/case.ts";
import type { EndState, Exit, ExitDetails, ExitKind } from "../trace/exit.ts";
import type { Trace, TraceEvent } from "../trace/trace.ts";

export const FILE: SourceFile = {
  name: "scenarios/test.yaml",
  text: Array.from({ length: 40 }, (_, n) => `line ${n + 1}: what was written`).join("\n"),
};

/** The span of a one-based line of {@linkcode FILE}. */
export function lineSpan(line: number): Span {
  const start = FILE.text.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
  return { file: FILE, start, end: start + 4 };
}

/** Something written on a line. */
export function on<T>(line: number, value: T): Located<T> {
  return { value, span: lineSpan(line) };
}

/** An integer, a text or a flag as a matcher; `$x` is a bound name. */
export function match(value: number | bigint | string | boolean | ValueMatcher): ValueMatcher {
  if (typeof value === "object") return value;
  if (typeof value === "string" && value.startsWith("$")) {
    return { is: "bound", name: value.slice(1) };
  }
  return { is: "literal", value: typeof value === "number" ? BigInt(value) : value };
}

type Loose = number | bigint | string | boolean | ValueMatcher;

export function atLeast(value: number): ValueMatcher {
  return { is: "range", atLeast: BigInt(value) };
}

export function atMost(value: number): ValueMatcher {
  return { is: "range", atMost: BigInt(value) };
}

export function pattern(
  kind: string,
  fields: Readonly<Record<string, Loose>> = {},
  times?: Loose,
): EventPattern {
  return {
    kind,
    fields: Object.fromEntries(Object.entries(fields).map(([k, v]) => [k, match(v)])),
    ...(times === undefined ? {} : { times: match(times) }),
    span: lineSpan(1),
  };
}

type ExitOf<K extends ExitKind> = Extract<Exit, { kind: K }>;

const common = { via: "vm-exit", rip: 0x100000n, bytes: new Uint8Array(), bitness: 64 } as const;

/** `out` of one byte. */
export function out(port: number, value: number, rip = 0x100000n): ExitOf<"io"> {
  return { ...common, kind: "io", rip, detail: { port, direction: "out", size: 1, value } };
}

export function cpuid(leaf: number): ExitOf<"cpuid"> {
  return { ...common, kind: "cpuid", detail: { leaf, subleaf: 0 } };
}

export function hlt(): ExitOf<"hlt"> {
  return { ...common, kind: "hlt", detail: {} };
}

export function hypercall(detail: ExitDetails["hypercall"]): ExitOf<"hypercall"> {
  return { ...common, kind: "hypercall", via: "hypercall", detail };
}

/** What a made-up run can have; everything else is empty. */
export interface Made {
  readonly exits?: readonly Exit[];
  readonly events?: readonly TraceEvent[];
  readonly console?: string;
  readonly end?: EndState;
  readonly registers?: Trace["final"]["registers"];
  readonly memory?: Trace["final"]["memory"];
  readonly disks?: Trace["final"]["disks"];
  readonly dropped?: number;
  readonly unobserved?: Trace["unobserved"];
  readonly exitKinds?: readonly ExitKind[];
  readonly hidden?: Trace["hidden"];
  readonly instructions?: number;
  readonly cycles?: Partial<Trace["cycles"]>;
}

export function makeTrace(made: Made = {}): Trace {
  const exits = made.exits ?? [];
  const kinds: Partial<Record<ExitKind, number>> = {};
  for (const { kind } of exits) kinds[kind] = (kinds[kind] ?? 0) + 1;
  const events: TraceEvent[] = exits.map((exit, at) => ({ at, type: "exit", exit }));
  return {
    events: [...events, ...made.events ?? []],
    dropped: made.dropped ?? 0,
    counts: {
      instructions: made.instructions ?? 100,
      exits: { total: exits.length + (made.dropped ?? 0), kinds },
      ways: {},
      inlined: {},
      accesses: {},
      injections: {},
      native: {},
    },
    cycles: { profile: "test", guest: 100, vmm: 0, kinds: {}, ...made.cycles },
    console: new TextEncoder().encode(made.console ?? ""),
    end: made.end ?? { kind: "shutdown", code: 0 },
    final: {
      registers: made.registers ?? {},
      memory: made.memory ?? {},
      disks: made.disks ?? [],
    },
    wallNs: 1,
    unobserved: made.unobserved ?? [],
    ...(made.exitKinds ? { exitKinds: made.exitKinds } : {}),
    ...(made.hidden ? { hidden: made.hidden } : {}),
  };
}

export const NOTHING: Expectations = { registers: {}, memory: {} };

export function makeCase(
  backend: Backend,
  expect: Partial<Expectations> = {},
  engine: Engine = DEFAULT_ENGINE,
): Case {
  return {
    id: `test@${backend}+${engine}`,
    backend,
    engine,
    expect: { ...NOTHING, ...expect },
  };
}

export function makeGroup(
  cases: readonly Case[],
  comparisons: readonly Comparison[] = [],
  observe: CaseGroup["guest"]["observe"] = { registers: [], memory: {} },
): CaseGroup {
  return {
    id: "test",
    scenario: "test",
    file: FILE,
    why: "",
    tags: [],
    parameters: {},
    guest: {
      entry: "long64",
      memory: 2 << 20,
      registers: {},
      disks: [],
      expectedUnported: [],
      observe,
    },
    limits: DEFAULT_LIMITS,
    comparisons,
    cases,
  };
}

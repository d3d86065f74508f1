// What judging makes of runs: plain values, so that they can cross from a worker to the reporters. Types only.
import type { Backend, Engine } from "../base/backend.ts";
import type { EndState } from "../trace/exit.ts";
import type { Cycles } from "../trace/trace.ts";
import type { Verdict } from "./verdict.ts";

/** An event of a trace, told: from the exit back to the line that made it. */
export interface EventReference {
  /** `exit 6`: one-based among its like. */
  readonly name: string;
  /** `vm-exit cr-access register=3 mov-to value=0x3000` */
  readonly text: string;
  /** `remap+0x2f` */
  readonly place?: string;
  readonly source?: SourceLine;
  /** `mov cr3, rax` */
  readonly disassembly?: string;
}

/** A line that a user wrote. */
export interface SourceLine {
  /** `scenarios/paging/remap.yaml:27:9` */
  readonly at: string;
  readonly text: string;
}

export type CheckStatus = "met" | "not met" | "unobserved";

/** One expectation of a scenario, and what became of it. */
export interface Check {
  /** `console`, `registers.rax`, `exits.in-order`, `exits.counts.io`. */
  readonly about: string;
  readonly status: CheckStatus;
  /** Where it is written; absent for what is expected of every run. */
  readonly source?: SourceLine;
  /** For each of its parts. */
  readonly lines: readonly CheckLine[];
}

export interface CheckLine {
  readonly status: CheckStatus;
  /** What was wanted. */
  readonly expected: string;
  /** What there was instead. */
  readonly actual?: string;
  /** What met it, the nearest candidate, or the event that should not have been. */
  readonly event?: EventReference;
  /** Is the event what stood in its place (`exactly`, `never`), not merely what came nearest? */
  readonly instead?: boolean;
}

/** What one run came to, in figures. */
export interface Figures {
  readonly instructions: number;
  readonly exits: { readonly total: number; readonly kinds: Readonly<Record<string, number>> };
  readonly inlined: Readonly<Record<string, number>>;
  readonly accesses: Readonly<Record<string, number>>;
  readonly injections: Readonly<Record<string, number>>;
  readonly cycles: Cycles;
  /** Measured; everything else is the same on every run. */
  readonly wallNs: number;
  /** As text; at most {@linkcode CONSOLE_KEPT} bytes of it (in metrics.ts). */
  readonly console: string;
  readonly end: EndState;
}

/** Who is at fault when there is no verdict on the subject. */
export interface Fault {
  readonly by: "scenario" | "harness";
  /** Rendered diagnostics, or a sentence. */
  readonly text: string;
}

export interface CaseResult {
  readonly id: string;
  readonly scenario: string;
  readonly backend: Backend;
  readonly engine: Engine;
  readonly verdict: Verdict;
  /** One line: why it was skipped, what it failed. */
  readonly reason?: string;
  readonly checks: readonly Check[];
  /** Where it differs from the others. */
  readonly differences: readonly Difference[];
  readonly figures?: Figures;
  readonly fault?: Fault;
}

/** The first difference between a subject and those that agree. */
export interface Difference {
  /** `console`, `end`, `registers.rbx`, `memory.buffer`, `disks.0`. */
  readonly aspect: string;
  /** `byte 5: "x" instead of "y"` */
  readonly text: string;
  /** Back ends that agree with each other. Empty when there is no majority. */
  readonly agree: readonly Backend[];
  /** Where this subject's trace stood, if an event made the difference. */
  readonly event?: EventReference;
}

export interface ComparisonResult {
  /** `paging/remap[pages=16]` */
  readonly group: string;
  readonly metric: string;
  /** `hybrid at most 0.5 times full-hw` */
  readonly expected: string;
  readonly source: SourceLine;
  readonly verdict: Verdict;
  readonly reason?: string;
  readonly figures: Readonly<Partial<Record<Backend, number>>>;
}

export interface GroupResult {
  readonly id: string;
  readonly scenario: string;
  /** The file, as the user named it. */
  readonly file: string;
  readonly cases: readonly CaseResult[];
  readonly comparisons: readonly ComparisonResult[];
  /** The worst of its cases and comparisons. */
  readonly verdict: Verdict;
  /** The scenario could not be read: no cases came of it. */
  readonly fault?: Fault;
}

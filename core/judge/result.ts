// What judging makes of runs: plain values, so that they can cross from a worker to the reporters. Types only.
import type { Backend, Engine } from "../base/backend.ts";
import type { EndState, ExitKind } from "../trace/exit.ts";
import type { Cycles, Hidden, Observable } from "../trace/trace.ts";
import type { Divergence } from "./divergence.ts";
import type { Known } from "./known/deviation.ts";
import type { Verdict } from "./verdict.ts";

/** An event of a trace, told: from the exit back to the line that made it. */
export interface EventReference {
  /** `exit 6`: one-based among its like. */
  readonly name: string;
  /** `vm-exit cr-access register=3 mov-to value=0x3000` */
  readonly text: string;
  /** `remap+0x2f` */
  readonly place?: string;
  /** The line that was assembled there. */
  readonly source?: SourceLine;
  /** `mov cr3, rax` */
  readonly disassembly?: string;
}

/** A line that a user wrote. */
export interface SourceLine {
  /** `scenarios/paging/remap.yaml:27:9` */
  readonly at: string;
  /** Without its indentation. */
  readonly text: string;
}

/** `unobserved`: this subject can't show it. */
export type CheckStatus = "met" | "not met" | "unobserved";

/** One expectation of a scenario, and what became of it. */
export interface Check {
  /** `console`, `registers.rax`, `exits.in-order`, `exits.counts.io`. */
  readonly about: string;
  /** Of all its lines together. */
  readonly status: CheckStatus;
  /** Where it is written; absent for what is expected of every run. */
  readonly source?: SourceLine;
  /** For each of its parts. */
  readonly lines: readonly CheckLine[];
}

/** One part of an expectation: a pattern of a sequence, or the value. */
export interface CheckLine {
  /** Of this part. */
  readonly status: CheckStatus;
  /** What was wanted. */
  readonly expected: string;
  /** What there was instead. */
  readonly actual?: string;
  /** What met it, the nearest candidate, or the event that should not have been. */
  readonly event?: EventReference;
  /** What the event is to a part that is not met; absent where it is met. */
  readonly relation?: EventRelation;
}

/**
 * `nearest`: what comes nearest to it; `earlier`: that, but before its turn; `instead`: what stood in its place, or should
 * not have been; `first`: the first of those counted.
 */
export type EventRelation = "nearest" | "earlier" | "instead" | "first";

/** What one run came to, in figures. Kinds that did not occur are absent. */
export interface Figures {
  /** Guest instructions retired. */
  readonly instructions: number;
  /** In all, and by kind. */
  readonly exits: { readonly total: number; readonly kinds: Readonly<Record<string, number>> };
  /** Exits by `via/kind`, as cost profiles price them. */
  readonly ways: Readonly<Record<string, number>>;
  /** What bare hardware pays for too, by the name in cost profiles. */
  readonly native: Readonly<Record<string, number>>;
  /** Sensitive operations done without an exit, by operation. */
  readonly inlined: Readonly<Record<string, number>>;
  /** What devices saw, by kind. */
  readonly accesses: Readonly<Record<string, number>>;
  /** What was delivered to the guest, by kind. */
  readonly injections: Readonly<Record<string, number>>;
  /** Modelled, by a cost profile. */
  readonly cycles: Cycles;
  /** Measured, in nanoseconds; everything else is the same on every run. */
  readonly wallNs: number;
  /** As text; at most the first 64 KiB of it. */
  readonly console: string;
  /** How it ended. */
  readonly end: EndState;
  /** What the subject can't show: figures of it mean nothing. Absent: it shows everything. */
  readonly unobserved?: readonly Observable[];
  /** The only kinds of exit that it shows; absent: all. */
  readonly exitKinds?: readonly ExitKind[];
  /** What else the subject does not show; absent: nothing. */
  readonly hidden?: Hidden;
  /** What the host's own VMM counted, by its names: never judged. */
  readonly coarse?: Readonly<Record<string, number>>;
}

/** Who is at fault when there is no verdict on the subject. */
export interface Fault {
  /** `harness` stands for the environment too. */
  readonly by: "scenario" | "harness";
  /** Rendered diagnostics, or a sentence. */
  readonly text: string;
}

/** What became of one case. */
export interface CaseResult {
  /** `console/hello[length=64]@para+embedded` */
  readonly id: string;
  /** `console/hello` */
  readonly scenario: string;
  /** Half of the subject. */
  readonly backend: Backend;
  /** The other half. */
  readonly engine: Engine;
  /** The worst of its checks and differences. */
  readonly verdict: Verdict;
  /** One line: why it was skipped, what it failed. */
  readonly reason?: string;
  /** Every expectation; none if it did not run. */
  readonly checks: readonly Check[];
  /** Where it differs from the others. */
  readonly differences: readonly Difference[];
  /** What the ledger of deviations has to say about it; absent: nothing. */
  readonly known?: readonly Known[];
  /** Of a subject outside of trivisor, as it says itself. */
  readonly version?: string;
  /** What that runs on, as it says itself. */
  readonly host?: string;
  /** Absent if it did not run. */
  readonly figures?: Figures;
  /** Present if the verdict is `error`. */
  readonly fault?: Fault;
}

/** The first difference between a subject and those that agree. */
export interface Difference {
  /** `console`, `end`, `registers.rbx`, `memory.buffer`, `disks.0`. */
  readonly aspect: string;
  /** `byte 5: "x" instead of "y"` */
  readonly text: string;
  /** Subjects that agree with each other, in full where there are several engines. Empty when there is no majority. */
  readonly agree: readonly string[];
  /** Where this subject's trace stood, if an event made the difference. */
  readonly event?: EventReference;
}

/** What became of one `compare`. */
export interface ComparisonResult {
  /** `paging/remap[pages=16]` */
  readonly group: string;
  /** The one that the back ends ran on. */
  readonly engine: Engine;
  /** `exits`, `vmm-cycles`, `exits/io`. */
  readonly metric: string;
  /** `hybrid at most 0.5 times full-hw` */
  readonly expected: string;
  /** Where it is written. */
  readonly source: SourceLine;
  /** `skipped` if a back end that it names did not run, or if the engine does not show what is weighed. */
  readonly verdict: Verdict;
  /** What broke it, or why it was skipped. */
  readonly reason?: string;
  /** The values of the metric, of those that ran. */
  readonly figures: Readonly<Partial<Record<Backend, number>>>;
}

/** What became of the cases of one scenario and one set of parameters. */
export interface GroupResult {
  /** `console/hello[length=64]` */
  readonly id: string;
  /** `console/hello` */
  readonly scenario: string;
  /** The file, as the user named it. */
  readonly file: string;
  /** In the order of the back ends. */
  readonly cases: readonly CaseResult[];
  /** In the order of the scenario. */
  readonly comparisons: readonly ComparisonResult[];
  /** The worst of its cases and comparisons. */
  readonly verdict: Verdict;
  /** Where those that diverged did so first, as far as events tell. */
  readonly divergence?: Divergence;
  /** Rendered diagnostics that keep nothing from running. */
  readonly warnings?: readonly string[];
  /** The scenario could not be read: no cases came of it. */
  readonly fault?: Fault;
}

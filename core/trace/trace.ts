// The ordered record of one run, and its totals.
import type {
  Access,
  AccessKind,
  EndState,
  Exit,
  ExitKind,
  Injection,
  InjectionKind,
} from "./exit.ts";

/**
 * One thing that happened, how many guest instructions had retired before it, and on which CPU it was, where there are
 * several.
 */
export type TraceEvent =
  & { readonly at: number; readonly cpu?: number }
  & (
    | { readonly type: "exit"; readonly exit: Exit }
    | { readonly type: "access"; readonly access: Access }
    | { readonly type: "injection"; readonly injection: Injection }
    | { readonly type: "console"; readonly bytes: Uint8Array }
  );

/** Exact totals; they count on when the list of events is full. */
export interface Counts {
  /** Guest instructions retired; each iteration of a repeated string instruction counts as one. */
  instructions: number;
  /** In all, and by kind. Kinds that did not occur are absent. */
  exits: { total: number; kinds: Partial<Record<ExitKind, number>> };
  /** Exits by `via/kind`, as cost profiles price them. */
  ways: Record<string, number>;
  /** Sensitive operations done inside translated code without leaving it, by operation name. */
  inlined: Record<string, number>;
  /** What devices saw, by kind. */
  accesses: Partial<Record<AccessKind, number>>;
  /** What was delivered to the guest, by kind. */
  injections: Partial<Record<InjectionKind, number>>;
  /** Things native hardware does at a cost: port I/O, exception delivery, ... by the name in the cost profile. */
  native: Record<string, number>;
}

/** Modelled cycles, from counts and a cost profile. */
export interface Cycles {
  /** Name of the cost profile. */
  readonly profile: string;
  /** What bare hardware would spend on the guest's instructions. */
  readonly guest: number;
  /** What the VMM adds: exits, and sensitive operations done inline. */
  readonly vmm: number;
  /** The VMM's part by exit kind, and by `inline/OPERATION` for what was inlined. */
  readonly kinds: Readonly<Record<string, number>>;
}

/** The guest-visible state when it ended. */
export interface FinalState {
  /** General and special registers, by name in lower case; unsigned 64-bit values. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** By label: the memory that the scenario observes or expects something of. */
  readonly memory: Readonly<Record<string, Uint8Array>>;
  /** The whole contents of each disk, 512 bytes a sector. */
  readonly disks: readonly Uint8Array[];
}

/** What a subject keeps to itself of kinds that it otherwise shows. */
export interface Hidden {
  /** Devices below the VMM, by the names that ours have, and where they answer; `last` is inclusive. */
  readonly devices: readonly {
    readonly kind: "io" | "mmio";
    readonly device: string;
    readonly first: number;
    readonly last: number;
  }[];
  /** What is delivered below the VMM. */
  readonly injections: readonly InjectionKind[];
  /** Kinds of access that it shows, but not each of them. */
  readonly accesses?: readonly AccessKind[];
}

/** The record of one run: everything that is judged. The same case gives the same trace, but for `wallNs`. */
export interface Trace {
  /** The first {@linkcode MAX_EVENTS}, and a few later ones. */
  readonly events: readonly TraceEvent[];
  /** Events that were counted but not kept. */
  readonly dropped: number;
  /** Exact totals, also of what was dropped. */
  readonly counts: Counts;
  /** Modelled, from the counts. */
  readonly cycles: Cycles;
  /** What the guest printed, by whatever device; at most {@linkcode MAX_CONSOLE} bytes. */
  readonly console: Uint8Array;
  /** How it ended. */
  readonly end: EndState;
  /** What the guest left behind. */
  readonly final: FinalState;
  /** Measured, hence the only part that differs between two runs. */
  readonly wallNs: number;
  /** What this subject could not observe: expectations on it are `unobserved`. */
  readonly unobserved: readonly Observable[];
  /** The only kinds of exit that this subject shows; absent: all, or as `unobserved` says none. */
  readonly exitKinds?: readonly ExitKind[];
  /** What else it does not show; absent: nothing. */
  readonly hidden?: Hidden;
  /** What the host's own VMM counted for this machine, by its names (KVM's statistics): coarse, never judged. */
  readonly coarse?: Readonly<Record<string, number>>;
}

/** What an expectation may need to see. */
export type Observable =
  | "instructions"
  | "exits"
  | "accesses"
  | "injections"
  | "console"
  | "registers"
  | "memory"
  | "disks";

/**
 * Events kept a run, so that a hostile guest can't exhaust memory; beyond it the counts go on, and of each source (a port, an
 * address, a vector) a few {@linkcode MAX_LATE}: the last codes of a test that prints millions of characters.
 */
export const MAX_EVENTS = 200_000;
/** Events kept of one source when the list is full, and of all. */
export const MAX_LATE = { source: 100, total: 20_000 } as const;

/** Console bytes kept a run: a CPU test that prints each of its results needs more than two million. */
export const MAX_CONSOLE = 1 << 22;

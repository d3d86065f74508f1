// Cost profiles: what each kind of exit, each inlined operation and each native operation costs on one machine that
// somebody measured. Types and constants only; `parse_profile.ts` reads the files, `cost_model.ts` prices a run.

/** One published or derived number, in cycles, and why it may be believed. */
export interface Figure {
  /** Cycles: 0 to 1 000 000 000. */
  readonly value: number;
  /** Where it was published. */
  readonly source: string;
  /** How it follows from the source, where the source does not print it; how it is applied, where that is a choice. */
  readonly how?: string;
}

/** Figures by key. */
export type Figures = Readonly<Record<string, Figure>>;

/** What one profile file says itself. */
export interface CostLayer {
  /** As `--profile` and `inherits` name it. */
  readonly name: string;
  /** The machine, as far as the source states it. */
  readonly machine: string;
  /** Cycles of an ordinary guest instruction. */
  readonly instruction?: Figure;
  /** By `via/kind`, or by `via` for the kinds that have no figure of their own. */
  readonly exits: Readonly<Record<string, Figure>>;
  /** By sensitive operation, or {@linkcode OTHERS}. */
  readonly inlined: Readonly<Record<string, Figure>>;
  /** By name of {@linkcode NATIVE_OPERATIONS}, or {@linkcode OTHERS}. */
  readonly native: Readonly<Record<string, Figure>>;
}

/** A profile: its own layer first, then those that it inherits from, nearest first. */
export interface CostProfile {
  /** Of its own layer. */
  readonly name: string;
  /** The first that has a figure for something wins. */
  readonly layers: readonly CostLayer[];
}

/** The key of what has no figure of its own. */
export const OTHERS = "others";

/** What bare hardware does at a cost, by the names that engines count it under. */
export const NATIVE_OPERATIONS = [
  "port-io",
  "mmio",
  "exception",
  "interrupt",
  "software-interrupt",
  "syscall",
  "iret",
  "cr-write",
  "tlb-flush",
] as const;

// What is known of subjects that are not ours: where they depart from what scenarios expect, since when, and why. Types only.

/** One entry of the ledger. Patterns are texts in which `*` stands for anything. */
export interface Deviation {
  /** Subjects that it is about: `full-bt@qemu`, `*@kvm`. */
  readonly subjects: readonly string[];
  /** Versions of the subject, as in `>=7.2 <9`; absent: every version. */
  readonly version?: string;
  /** What the subject runs on, as it says itself: `pvm`; absent: anything. */
  readonly hosts?: readonly string[];
  /** Scenarios, groups or cases by id: `paging/remap`, `smp/*`, `timer/timer[period=5]`. */
  readonly cases: readonly string[];
  /** What comes out otherwise: `console`, `end`, `registers.rax`, `exits.counts.io`, `exits.*`. */
  readonly about: readonly string[];
  /** A sentence. */
  readonly reason: string;
  /** The paragraph that says how it should be. */
  readonly manual: string;
  /** Where it is reported or described. */
  readonly link: string;
  /** The last day on which it is excused: `2027-06-30`. */
  readonly until: string;
  /** Where it is written: `fixtures/known/qemu.yaml:3:5`. */
  readonly at: string;
}

/** The entries, and the day on which they are looked at: `2026-11-22`. */
export interface Ledger {
  /** In the order of the files. */
  readonly deviations: readonly Deviation[];
  /** Entries whose `until` is before it excuse nothing. */
  readonly today: string;
}

/** What an entry has come to for a case that it names. */
export interface Known {
  /** `excused`: the case deviates as it says; `gone`: it does not; `expired`: it does, and is not excused any longer. */
  readonly state: "excused" | "gone" | "expired";
  /** What came out otherwise, of what the entry names; of a deviation that is gone, what it names. */
  readonly about: readonly string[];
  /** As the entry has it. */
  readonly reason: string;
  /** As the entry has it. */
  readonly manual: string;
  /** As the entry has it. */
  readonly link: string;
  /** As the entry has it. */
  readonly until: string;
  /** Where the entry is written. */
  readonly at: string;
}

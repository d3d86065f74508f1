// What planning makes of a scenario: cases, ready to run and to judge. Types only: every later stage imports this file.
import type { Backend, Engine } from "../base/backend.ts";
import type { SourceFile, Span } from "../base/source.ts";

/** Kept with everything that a failure may have to point at. */
export interface Located<T> {
  /** What was written. */
  readonly value: T;
  /** Where. */
  readonly span: Span;
}

/** A value of a parameter: what `{name}` stands for. */
export type ParameterValue = number | string | boolean;
/** One combination of parameters, by name. */
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** The CPU mode in which the guest's first instruction runs. */
export const ENTRIES = ["real16", "protected32", "long64"] as const;
/** One of {@linkcode ENTRIES}; `protected32` without paging, `long64` with RAM mapped one to one. */
export type Entry = typeof ENTRIES[number];

/** What a guest file is: how it is loaded, and in which state it starts. */
export const GUEST_FORMATS = ["flat", "elf", "multiboot", "pvh", "rom"] as const;
/** One of {@linkcode GUEST_FORMATS}. */
export type GuestFormat = typeof GUEST_FORMATS[number];

/** A virtual disk: a repeated pattern (`{n}` is the sector number), or literal bytes, zero-filled. */
export interface DiskSpec {
  /** Of 512 bytes. */
  readonly sectors: number;
  /** Does the device refuse writes? */
  readonly readOnly: boolean;
  /** Repeated to the end of the disk, with the number of the sector it starts in. */
  readonly pattern?: string;
  /** The first bytes of the disk. */
  readonly bytes?: Uint8Array;
}

/** The guest that a scenario describes. */
export interface GuestSpec {
  /** The CPU mode it starts in. */
  readonly entry: Entry;
  /** Bytes of RAM: a multiple of 4096. */
  readonly memory: number;
  /** How many CPUs; absent: one. */
  readonly cpus?: number;
  /** What RDRAND's and RDSEED's numbers come from, 32 bits; absent: the same for every guest. */
  readonly seed?: number;
  /** Assembly text with the parameters put in; its offsets map to the file through `programMap`. */
  readonly program?: Program;
  /** A file to load instead: a path relative to the scenario. */
  readonly file?: Located<string>;
  /** What the file is; absent: what it looks like. */
  readonly format?: GuestFormat;
  /** Guest-physical address at which a flat file is loaded and started; absent: where a program would be. */
  readonly load?: Located<number>;
  /** Handed to a multiboot or PVH kernel. */
  readonly commandLine?: string;
  /** Files handed to a multiboot or PVH kernel: paths relative to the scenario. */
  readonly modules?: readonly Located<string>[];
  /** Values of registers at entry, by name. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** In the order in which the platform numbers them. */
  readonly disks: readonly DiskSpec[];
  /** Mnemonics that a paravirtualizing VMM is expected to report, because the guest is not ported. */
  readonly expectedUnported: readonly string[];
  /** What must come out equal on all back ends, beside console, end and disks. */
  readonly observe: {
    /** By name. */
    readonly registers: readonly string[];
    /** Labels, and how many bytes from there. */
    readonly memory: Readonly<Record<string, number>>;
    /** Where the labels are named, for those who find that there is none such. */
    readonly spans?: Readonly<Record<string, Span>>;
  };
}

/** Assembly text and where each of its lines came from. */
export interface Program {
  /** Intel syntax. */
  readonly text: string;
  /** Span in the YAML of the one-based line `n` of `text`, at index `n - 1`. */
  readonly lines: readonly Span[];
}

/** Matches one value. Literals compare equal; numbers and bigints compare by value. */
export type ValueMatcher =
  | { readonly is: "literal"; readonly value: bigint | string | boolean }
  | { readonly is: "range"; readonly atLeast?: bigint; readonly atMost?: bigint }
  | { readonly is: "one-of"; readonly values: readonly ValueMatcher[] }
  | { readonly is: "not"; readonly matcher: ValueMatcher }
  | { readonly is: "any" }
  /** `$name`: the first match binds the name, later ones must be equal. */
  | { readonly is: "bound"; readonly name: string };

/** Matches bytes: the console, or memory at a label. */
export type BytesMatcher =
  | { readonly is: "equal"; readonly bytes: Uint8Array }
  | { readonly is: "starts-with"; readonly bytes: Uint8Array }
  | { readonly is: "contains"; readonly bytes: Uint8Array }
  | { readonly is: "matches"; readonly pattern: string }
  | { readonly is: "length"; readonly length: ValueMatcher }
  /** A little-endian integer of the label's observed size. */
  | { readonly is: "integer"; readonly value: ValueMatcher }
  | { readonly is: "all-of"; readonly matchers: readonly BytesMatcher[] }
  | { readonly is: "not"; readonly matcher: BytesMatcher }
  | { readonly is: "any" };

/** One exit, access or injection: its kind and the fields that matter. */
export interface EventPattern {
  /** An `ExitKind`, `AccessKind` or `InjectionKind`. */
  readonly kind: string;
  /** By the field names of `ExitDetails`, `Access` or `Injection`, in kebab or camel case alike; `via` too. */
  readonly fields: Readonly<Record<string, ValueMatcher>>;
  /** How many in a row (`in-order`, `exactly`) or in all (`any-order`); one if absent. */
  readonly times?: ValueMatcher;
  /** Where it is written. */
  readonly span: Span;
}

/** The five kinds of expectation on a sequence, and counts by kind (`total` for all). */
export interface SequenceExpectation {
  /** All of them, in this order, and no others. */
  readonly exactly?: Located<readonly EventPattern[]>;
  /** These, in this order; others may come between. */
  readonly inOrder?: Located<readonly EventPattern[]>;
  /** These, among others. */
  readonly anyOrder?: Located<readonly EventPattern[]>;
  /** None of these. */
  readonly never?: Located<readonly EventPattern[]>;
  /** How many, by kind; `total` for all. */
  readonly counts?: Readonly<Record<string, Located<ValueMatcher>>>;
}

/** Matches how a run ended: an `EndState`. */
export type EndMatcher =
  | { readonly kind: "any" }
  | { readonly kind: "halt" }
  | { readonly kind: "triple-fault" }
  | { readonly kind: "shutdown"; readonly code: ValueMatcher }
  | { readonly kind: "unported"; readonly instruction: ValueMatcher }
  | { readonly kind: "limit"; readonly limit: ValueMatcher }
  | { readonly kind: "crash"; readonly reason: ValueMatcher };

/** What is expected of one subject: `expect`, with `per` laid over it key by key. */
export interface Expectations {
  /** All that the guest printed. */
  readonly console?: Located<BytesMatcher>;
  /** How it ended. Absent: any way but a crash, a limit or a triple fault. */
  readonly end?: Located<EndMatcher>;
  /** At the end, by name. */
  readonly registers: Readonly<Record<string, Located<ValueMatcher>>>;
  /** At the end, by label. */
  readonly memory: Readonly<Record<string, Located<BytesMatcher>>>;
  /** What the VMM saw. */
  readonly exits?: SequenceExpectation;
  /** What devices saw. */
  readonly accesses?: SequenceExpectation;
  /** What was delivered to the guest. */
  readonly injections?: SequenceExpectation;
}

/** What `compare` can weigh. `exits/KIND`, `accesses/KIND` and `injections/KIND` narrow to a kind. */
export type Metric = string;

/** One `compare`: figures of several back ends, weighed against each other. */
export type Comparison =
  & {
    readonly metric: Metric;
    /** A cost profile that ships, to price the counts by instead of the run's. */
    readonly profile?: string;
    readonly span: Span;
  }
  & (
    /** Each back end's figure is less than the next one's, strictly. */
    | { readonly is: "order"; readonly order: readonly Backend[] }
    /** `of <= atMost * times` and/or `of >= atLeast * times`. */
    | {
      readonly is: "ratio";
      readonly of: Backend;
      readonly times: Backend;
      readonly atMost?: number;
      readonly atLeast?: number;
    }
  );

/** What ends a run that does not end by itself. All are positive. */
export interface Limits {
  /** Guest instructions. */
  readonly instructions: number;
  /** Exits of all kinds together. */
  readonly exits: number;
  /** Virtual time in nanoseconds. */
  readonly time: number;
  /** Measured time in milliseconds, after which the run is stopped whatever its virtual time. */
  readonly wallMs: number;
}

/** Limits of a scenario that states none. */
export const DEFAULT_LIMITS: Limits = {
  instructions: 10_000_000,
  exits: 1_000_000,
  time: 60_000_000_000,
  wallMs: 30_000,
};

/** The same where the guest is a file: kernels and ROMs that test a whole CPU take longer than a scenario's program. */
export const FILE_LIMITS: Limits = {
  ...DEFAULT_LIMITS,
  instructions: 1_000_000_000,
  exits: 20_000_000,
  wallMs: 120_000,
};

/** One run to make: scenario x parameters x subject. */
export interface Case {
  /** `console/hello[length=64]@para+embedded`. Never changes. */
  readonly id: string;
  /** How the guest is virtualized. */
  readonly backend: Backend;
  /** What executes its instructions. */
  readonly engine: Engine;
  /** Why this subject is not run, where `requires` or the guest's entry rules it out. */
  readonly skip?: string;
  /** What must come of it. */
  readonly expect: Expectations;
}

/** The cases of one scenario and one set of parameters: what is compared with each other. */
export interface CaseGroup {
  /** `console/hello[length=64]` */
  readonly id: string;
  /** `console/hello`: path below the suite's root, without `.yaml`. */
  readonly scenario: string;
  /** The scenario's text: failures point into it. */
  readonly file: SourceFile;
  /** As the scenario has it. */
  readonly why: string;
  /** As the scenario has them. */
  readonly tags: readonly string[];
  /** The combination that makes this group. */
  readonly parameters: Parameters;
  /** The same for every case; built once for each platform. */
  readonly guest: GuestSpec;
  /** Of each case. */
  readonly limits: Limits;
  /** Between its cases. */
  readonly comparisons: readonly Comparison[];
  /** One for each subject, in the order of {@linkcode BACKENDS}. */
  readonly cases: readonly Case[];
}

// What planning makes of a scenario: cases, ready to run and to judge. Types only: every later stage imports this file.
import type { Backend, Engine } from "../base/backend.ts";
import type { SourceFile, Span } from "../base/source.ts";

/** Kept with everything that a failure may have to point at. */
export interface Located<T> {
  readonly value: T;
  readonly span: Span;
}

export type ParameterValue = number | string | boolean;
export type Parameters = Readonly<Record<string, ParameterValue>>;

/** The CPU mode in which the guest's first instruction runs. */
export const ENTRIES = ["real16", "protected32", "long64"] as const;
export type Entry = typeof ENTRIES[number];

/** A virtual disk: a repeated pattern (`{n}` is the sector number), or literal bytes, zero-filled. */
export interface DiskSpec {
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly pattern?: string;
  readonly bytes?: Uint8Array;
}

export interface GuestSpec {
  readonly entry: Entry;
  /** Bytes of RAM: a multiple of 4096. */
  readonly memory: number;
  /** Assembly text with the parameters put in; its offsets map to the file through `programMap`. */
  readonly program?: Program;
  /** A file to load instead: a path relative to the scenario. */
  readonly file?: Located<string>;
  /** Values of registers at entry, by name. */
  readonly registers: Readonly<Record<string, bigint>>;
  readonly disks: readonly DiskSpec[];
  /** Mnemonics that a paravirtualizing VMM is expected to report, because the guest is not ported. */
  readonly expectedUnported: readonly string[];
  readonly observe: {
    readonly registers: readonly string[];
    /** Labels, and how many bytes from there. */
    readonly memory: Readonly<Record<string, number>>;
  };
}

/** Assembly text and where each of its lines came from. */
export interface Program {
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
  readonly kind: string;
  /** By the field names of `ExitDetails`, `Access` or `Injection`, in kebab or camel case alike; `via` too. */
  readonly fields: Readonly<Record<string, ValueMatcher>>;
  /** How many in a row (`in-order`, `exactly`) or in all (`any-order`); one if absent. */
  readonly times?: ValueMatcher;
  readonly span: Span;
}

/** The five kinds of expectation on a sequence, and counts by kind (`total` for all). */
export interface SequenceExpectation {
  readonly exactly?: Located<readonly EventPattern[]>;
  readonly inOrder?: Located<readonly EventPattern[]>;
  readonly anyOrder?: Located<readonly EventPattern[]>;
  readonly never?: Located<readonly EventPattern[]>;
  readonly counts?: Readonly<Record<string, Located<ValueMatcher>>>;
}

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
  readonly console?: Located<BytesMatcher>;
  readonly end?: Located<EndMatcher>;
  readonly registers: Readonly<Record<string, Located<ValueMatcher>>>;
  readonly memory: Readonly<Record<string, Located<BytesMatcher>>>;
  readonly exits?: SequenceExpectation;
  readonly accesses?: SequenceExpectation;
  readonly injections?: SequenceExpectation;
}

/** What `compare` can weigh. `exits/KIND`, `accesses/KIND` and `injections/KIND` narrow to a kind. */
export type Metric = string;

export type Comparison =
  & { readonly metric: Metric; readonly span: Span }
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

export interface Limits {
  /** Guest instructions. */
  readonly instructions: number;
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

/** One run to make: scenario x parameters x subject. */
export interface Case {
  /** `console/hello[length=64]@para+embedded`. Never changes. */
  readonly id: string;
  readonly backend: Backend;
  readonly engine: Engine;
  /** Why this subject is not run, where `requires` or the guest's entry rules it out. */
  readonly skip?: string;
  readonly expect: Expectations;
}

/** The cases of one scenario and one set of parameters: what is compared with each other. */
export interface CaseGroup {
  /** `console/hello[length=64]` */
  readonly id: string;
  /** `console/hello`: path below the suite's root, without `.yaml`. */
  readonly scenario: string;
  readonly file: SourceFile;
  readonly why: string;
  readonly tags: readonly string[];
  readonly parameters: Parameters;
  readonly guest: GuestSpec;
  readonly limits: Limits;
  readonly comparisons: readonly Comparison[];
  readonly cases: readonly Case[];
}

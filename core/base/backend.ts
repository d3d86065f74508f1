// The names of what can be tested. A subject is a back end on an engine.

/** The ways of virtualizing, in the order in which tables show them. */
export const BACKENDS = [
  "native",
  "full-bt",
  "full-hw",
  "full-hw/shadow",
  "para",
  "hybrid",
] as const;

/** A way of virtualizing. `full-hw/shadow` is `full-hw` with shadow paging instead of nested paging. */
export type Backend = typeof BACKENDS[number];

/** The back ends a scenario runs on unless it or the user says otherwise. */
export const DEFAULT_BACKENDS: readonly Backend[] = [
  "native",
  "full-bt",
  "full-hw",
  "para",
  "hybrid",
];

/** What executes the guest's instructions. */
export const ENGINES = ["embedded", "kvm", "qemu", "external"] as const;
/** One of {@linkcode ENGINES}. */
export type Engine = typeof ENGINES[number];
/** What executes the guest unless the user says otherwise. */
export const DEFAULT_ENGINE: Engine = "embedded";

/** A back end on an engine, as in `hybrid@kvm`. */
export interface SubjectId {
  /** How it virtualizes. */
  readonly backend: Backend;
  /** What executes the instructions. */
  readonly engine: Engine;
}

/**
 * Do guests of this subject go by virtual time, the same on every run? Else it is the host's, and how often a clock ticks while
 * they work is a matter of chance. QEMU's translator counts instructions; of a VMM of the user's nobody knows.
 */
export function isTimeVirtual({ backend, engine }: SubjectId): boolean {
  return engine === "embedded" || (engine === "qemu" && backend === "full-bt");
}

/** `hybrid@kvm` */
export function subjectName(id: SubjectId): string {
  return `${id.backend}@${id.engine}`;
}

/**
 * What there is of a back end on an engine: `usual` pairs run unless others are asked for, `asked` ones where the user names them, or,
 * of the usual engine, the scenario; `absent` says why there is no such pair.
 */
export type Pairing = "usual" | "asked" | { readonly absent: string };

const NO_VMM: Pairing = { absent: "native has no VMM, and this engine is one" };
const OWN_PAGING: Pairing = {
  absent: "KVM itself chooses between nested and shadow paging, once for the whole host",
};

/** Every back end on every engine. */
export const PAIRS: Readonly<Record<Engine, Readonly<Record<Backend, Pairing>>>> = {
  "embedded": {
    "native": "usual",
    "full-bt": "usual",
    "full-hw": "usual",
    "full-hw/shadow": "asked",
    "para": "usual",
    "hybrid": "usual",
  },
  "kvm": {
    "native": NO_VMM,
    "full-bt": { absent: "KVM translates nothing: the processor executes its guests" },
    "full-hw": "usual",
    "full-hw/shadow": OWN_PAGING,
    "para": "usual",
    "hybrid": "usual",
  },
  // TCG is its translator; with KVM the processor executes the guest.
  "qemu": {
    "native": NO_VMM,
    "full-bt": "usual",
    "full-hw": "usual",
    "full-hw/shadow": OWN_PAGING,
    "para": {
      absent: "QEMU emulates Xen for guests with hardware assistance, not for ported ones",
    },
    "hybrid": {
      absent: "QEMU's virtio devices stand elsewhere than those that guests are built for",
    },
  },
  // The user's VMM says in its hello which of these it is.
  "external": {
    "native": NO_VMM,
    "full-bt": "asked",
    "full-hw": "usual",
    "full-hw/shadow": "asked",
    "para": "asked",
    "hybrid": "asked",
  },
};

/** Why there is no such pair; undefined where there is one. */
export function whyAbsent({ backend, engine }: SubjectId): string | undefined {
  const pairing = PAIRS[engine][backend];
  return typeof pairing === "object" ? pairing.absent : undefined;
}

/**
 * How to call each of several subjects: by its back end where all are on one engine, else in full.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const here: SubjectId = { backend: "full-hw", engine: "embedded" };
 * const there: SubjectId = { backend: "full-hw", engine: "kvm" };
 * assertEquals(namesAmong([here])(here), "full-hw");
 * assertEquals(namesAmong([here, there])(there), "full-hw@kvm");
 * ```
 */
export function namesAmong(subjects: readonly SubjectId[]): (id: SubjectId) => string {
  const engines = new Set(subjects.map(({ engine }) => engine));
  return engines.size > 1 ? subjectName : ({ backend }) => backend;
}

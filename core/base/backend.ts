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
/** One of {@linkcode ENGINES}. Only `embedded` is built in this version. */
export type Engine = typeof ENGINES[number];

/** A back end on an engine, as in `hybrid@kvm`. */
export interface SubjectId {
  /** How it virtualizes. */
  readonly backend: Backend;
  /** What executes the instructions. */
  readonly engine: Engine;
}

/** `hybrid@kvm` */
export function subjectName(id: SubjectId): string {
  return `${id.backend}@${id.engine}`;
}

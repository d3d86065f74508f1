// The subjects there are: every back end on the embedded engine. Engines that are added register theirs here.
import { type SubjectId, subjectName } from "../base/backend.ts";
import { embedded } from "../engine/embedded/engine.ts";
import { BACKEND_DEFINITIONS } from "./backends.ts";
import { type LocalSubject, monitorSubject } from "./subject.ts";

/** By name, as in `hybrid@embedded`, in the order in which tables show the back ends. */
const SUBJECTS: ReadonlyMap<string, LocalSubject> = new Map(
  [...BACKEND_DEFINITIONS.values()].map((definition) => {
    const id: SubjectId = { backend: definition.backend, engine: "embedded" };
    return [subjectName(id), monitorSubject(id, definition, embedded)];
  }),
);

/**
 * What runs the cases of a back end on an engine, or undefined where there is no such pair. A {@linkcode Case} is an id.
 *
 * @example What `para` runs
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { subjectOf } from "@trivisor/trivisor";
 *
 * const para = subjectOf({ backend: "para", engine: "embedded" });
 * assertEquals(para?.platform, "xen");
 * assertEquals(para?.unsuited({ entry: "long64" }), undefined);
 * assertEquals(subjectOf({ backend: "para", engine: "kvm" }), undefined);
 * ```
 */
export function subjectOf(id: SubjectId): LocalSubject | undefined {
  return SUBJECTS.get(subjectName(id));
}

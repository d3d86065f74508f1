// Subjects for a verb of the command line, started early: a KVM thread or a QEMU takes as long to come up as the verb's own code.
import { type Backend, DEFAULT_ENGINE, type Engine, whyAbsent } from "../base/backend.ts";
import { Subjects } from "../foreign/subjects.ts";
import type { ExitCode } from "../judge/verdict.ts";
import { outside, type OutsideFlags } from "./options.ts";

interface SubjectFlags extends OutsideFlags {
  readonly backend?: readonly Backend[];
  readonly engine?: readonly Engine[];
}

/**
 * Gives a verb its subjects. Those of other engines that the command line names start while the verb is loaded; whatever comes
 * of it, they end with it.
 */
export async function withSubjects(
  flags: SubjectFlags,
  verb: (subjects: Subjects) => Promise<ExitCode>,
): Promise<ExitCode> {
  const { backend: named = [], engine = [] } = flags;
  const subjects = new Subjects(outside(flags));
  void subjects.expect(
    engine.filter((engine) => engine !== DEFAULT_ENGINE)
      .flatMap((engine) => named.map((backend) => ({ backend, engine })))
      .filter((id) => whyAbsent(id) === undefined),
  );
  try {
    return await verb(subjects);
  } finally {
    await subjects.close();
  }
}

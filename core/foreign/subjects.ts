// The subjects of a run: the back ends on the embedded engine, and on real KVM, QEMU and the user's own VMM. What runs outside
// of this thread is loaded, tried by a canary and kept when it is first asked for, and ended with the run.
import { type Backend, type Engine, type SubjectId, subjectName } from "../base/backend.ts";
import type { Found, Subject, SubjectSource } from "../vmm/subject.ts";
import { subjectOf } from "../vmm/subjects.ts";

/** What the user says about subjects outside of trivisor. */
export interface SubjectOptions {
  /** The QEMU to run: a name or a path; absent: the one that is installed. */
  readonly qemu?: string;
  /** Program and arguments of a VMM that speaks trivisor's protocol; absent: there is none. */
  readonly vmm?: readonly string[];
}

/** Makes the subject of a back end on an engine, or says why there is none. */
type Maker = (backend: Backend, options: SubjectOptions) => Promise<Found>;

const MAKERS: Readonly<Record<Engine, Maker>> = {
  embedded: (backend) => {
    const subject = subjectOf({ backend, engine: "embedded" });
    return Promise.resolve(subject ? { subject } : { absent: `there is no ${backend}@embedded` });
  },
  kvm: () => Promise.resolve({ absent: "the engine kvm is not built in this version" }),
  qemu: () => Promise.resolve({ absent: "the engine qemu is not built in this version" }),
  external: () => Promise.resolve({ absent: "the engine external is not built in this version" }),
};

/** Finds subjects, each tried once. `close` ends whatever they hold. */
export class Subjects implements SubjectSource {
  readonly #options: SubjectOptions;
  readonly #found = new Map<string, Promise<Found>>();
  readonly #open: Subject[] = [];

  /** Nothing is started yet. */
  constructor(options: SubjectOptions = {}) {
    this.#options = options;
  }

  /** The subject, if it is there and its canary has come through. */
  find(id: SubjectId): Promise<Found> {
    const name = subjectName(id);
    const known = this.#found.get(name);
    if (known) return known;
    const found = this.#try(id);
    this.#found.set(name, found);
    return found;
  }

  async #try(id: SubjectId): Promise<Found> {
    const found = await MAKERS[id.engine](id.backend, this.#options);
    if ("absent" in found) return found;
    this.#open.push(found.subject);
    const availability = await found.subject.probe();
    return availability.available ? found : { absent: availability.why };
  }

  /** Ends processes and workers; what is asked for afterwards is made anew. */
  async close(): Promise<void> {
    this.#found.clear();
    await Promise.all(this.#open.splice(0).map((subject) => subject.close?.()));
  }
}

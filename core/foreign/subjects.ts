// The subjects of a run: the back ends on the embedded engine, and on real KVM, QEMU and the user's own VMM. What runs outside
// of this thread is loaded, tried by a canary and kept when it is first asked for, and ended with the run.
import {
  type Backend,
  DEFAULT_ENGINE,
  type Engine,
  type SubjectId,
  subjectName,
  whyAbsent,
} from "../base/backend.ts";
import type { Threads } from "./embedded/threads.ts";
import type { Availability, Found, Subject, SubjectSource } from "../vmm/subject.ts";

/** What the user says about subjects outside of trivisor. */
export interface SubjectOptions {
  /** The QEMU to run: a name or a path; absent: the one that is installed. */
  readonly qemu?: string;
  /** A QEMU for each case, or one for many where that gives the same; absent: `persistent`. */
  readonly qemuMode?: "one-shot" | "persistent";
  /** Program and arguments of a VMM that speaks trivisor's protocol; absent: there is none. */
  readonly vmm?: readonly string[];
  /** What of KVM's is used; absent: nothing that devices here can do as well. */
  readonly kvm?: { readonly ioeventfd?: boolean };
}

/** Makes the subject of a back end on an engine that has it, or says why it is not to be had. */
type Maker = (backend: Backend, options: SubjectOptions) => Promise<Found>;

const MAKERS: Readonly<Record<Engine, Maker>> = {
  embedded: async (backend) => {
    const { loadEmbedded } = await import("../vmm/load.ts");
    return { subject: await loadEmbedded(backend) };
  },
  kvm: async (backend, { kvm }) => {
    const { kvmSubject } = await import("./kvm/kvm.ts");
    return kvmSubject(backend, kvm);
  },
  qemu: async (backend, { qemu, qemuMode }) => {
    const { qemuSubject } = await import("./qemu/subject.ts");
    return qemuSubject(backend, {
      ...(qemu === undefined ? {} : { program: qemu }),
      ...(qemuMode === undefined ? {} : { mode: qemuMode }),
    });
  },
  external: async (backend, { vmm: command }) => {
    if (!command) return { absent: "no VMM of your own is named; --vmm does that" };
    const { externalSubject } = await import("./external/external.ts");
    return { subject: externalSubject({ command, backend }) };
  },
};

/** A subject and what its probe said; or why there is no such pair. */
export type Inspected =
  | { readonly subject: Subject; readonly availability: Availability }
  | { readonly absent: string };

/** Finds subjects, each tried once. `close` ends whatever they hold. */
export class Subjects implements SubjectSource {
  readonly #options: SubjectOptions;
  readonly #inspected = new Map<string, Promise<Inspected>>();
  readonly #open: Subject[] = [];
  /** Where the embedded engine runs guests; absent: in this thread. */
  #threads: Threads | undefined;

  /** Nothing is started yet. */
  constructor(options: SubjectOptions = {}) {
    this.#options = options;
  }

  /** The subject, if it is there and its canary has come through. */
  async find(id: SubjectId): Promise<Found> {
    const inspected = await this.inspect(id);
    if ("absent" in inspected) return inspected;
    const { subject, availability } = inspected;
    return availability.available ? { subject } : { absent: availability.why };
  }

  /** The same, for whoever wants to know what it can't do. */
  inspect(id: SubjectId): Promise<Inspected> {
    const name = subjectName(id);
    const known = this.#inspected.get(name);
    if (known) return known;
    const inspected = this.#inspect(id);
    this.#inspected.set(name, inspected);
    return inspected;
  }

  async #inspect(id: SubjectId): Promise<Inspected> {
    const why = whyAbsent(id);
    if (why !== undefined) return { absent: why };
    const made = await this.#make(id);
    if ("absent" in made) return made;
    const { subject } = made;
    this.#open.push(subject);
    return { subject, availability: await subject.probe() };
  }

  async #make({ backend, engine }: SubjectId): Promise<Found> {
    return engine === DEFAULT_ENGINE && this.#threads
      ? { subject: this.#threads.subject(backend) }
      : await MAKERS[engine](backend, this.#options);
  }

  /** From now on guests of the embedded engine run in threads of their own, beside those of others. */
  async useThreads(): Promise<void> {
    const { Threads } = await import("./embedded/threads.ts");
    this.#threads ??= new Threads();
  }

  /** Starts and tries them all at once, while whoever will ask for them does something else; resolves when all are done. */
  async expect(ids: Iterable<SubjectId>): Promise<void> {
    await Promise.allSettled([...ids].map((id) => this.inspect(id)));
  }

  /** Ends processes and workers, also of those that are being tried; what is asked for afterwards is made anew. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#inspected.values());
    this.#inspected.clear();
    await Promise.all(this.#open.splice(0).map((subject) => subject.close?.()));
  }
}

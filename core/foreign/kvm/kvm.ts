// A back end of ours on real KVM, as a subject: its guests run in a thread of their own, which can be stopped from here.
import type { Backend, SubjectId } from "../../base/backend.ts";
import type { Trace } from "../../trace/trace.ts";
import type { KvmOptions } from "../../engine/kvm/engine.ts";
import type { KvmHost } from "../../engine/kvm/host.ts";
import { COUNTER_GAP } from "../../engine/kvm/pvm.ts";
import { usesCounter } from "../../guest/pv/operations.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { BACKEND_DESCRIPTIONS, type BackendDescription } from "../../vmm/descriptions.ts";
import type { Availability, Found, Job, Subject } from "../../vmm/subject.ts";
import { canary, canaryComplaint } from "../canary.ts";
import { type Answer, Hand } from "./hand.ts";
import { stoppedTrace } from "./stopped.ts";

/** How long the thread may take to tell what its host is, in milliseconds. */
const PROBE_MS = 10_000;
/** A run that has not ended by its own limits is told to stop after `FIRST`, and given up after `LAST`. */
const GRACE_MS = { FIRST: 500, LAST: 5_000 };
/** How often whoever wants to abort a run is asked. */
const ABORT_MS = 20;

/** The back ends that need nothing that KVM does not give. */
const BACKENDS: readonly Backend[] = ["full-hw", "para", "hybrid"];

/** What runs cases of a back end on /dev/kvm, or why there is no such pair. */
export function kvmSubject(backend: Backend, options: KvmOptions = {}): Found {
  if (BACKENDS.includes(backend)) {
    return { subject: new Kvm(BACKEND_DESCRIPTIONS[backend], options) };
  }
  return { absent: WITHOUT[backend] ?? `there is no ${backend}@kvm` };
}

const SEEDED = "KVM's guests get the host's random numbers, and not those of a seed";

const WITHOUT: Partial<Record<Backend, string>> = {
  "native": "KVM runs no guest without a monitor",
  "full-bt": "KVM translates nothing",
  "full-hw/shadow": "KVM takes no shadow page tables from its VMM",
};

class Kvm implements Subject {
  readonly id: SubjectId;
  readonly summary: string;
  readonly platform: Subject["platform"];
  readonly #backend: BackendDescription;
  readonly #hand = new Hand();
  /** Each ends a run that is under way, or waits for its turn. */
  readonly #stops = new Set<() => void>();
  #host: KvmHost | undefined;

  constructor(backend: BackendDescription, readonly options: KvmOptions) {
    this.#backend = backend;
    this.id = { backend: backend.backend satisfies Backend, engine: "kvm" };
    this.summary = `${backend.summary}; on /dev/kvm`;
    this.platform = backend.platform;
  }

  get host(): string | undefined {
    return this.#host?.host;
  }

  get version(): string | undefined {
    return this.#host?.version;
  }

  async probe(): Promise<Availability> {
    const found = await this.#hand.ask({ type: "probe" }, PROBE_MS);
    if (found.type !== "system") {
      await this.close();
      return { available: false, why: complaint(found) };
    }
    this.#host = found;
    const dead = await this.#canary();
    if (dead === undefined) return { available: true, gaps: found.gaps };
    await this.close();
    return { available: false, why: `KVM's canary has died: ${dead}` };
  }

  async #canary(): Promise<string | undefined> {
    try {
      // A guest of bare hardware: it is KVM that is tried, and not the back end.
      return canaryComplaint(await this.#run(canary("real16"), "full-hw"));
    } catch (error) {
      if (error instanceof SubjectLacks) return error.message;
      throw error;
    }
  }

  unsuited(image: Parameters<Subject["unsuited"]>[0]): string | undefined {
    return this.#backend.unsuited(image);
  }

  async run(job: Job): Promise<Trace> {
    const { seed, pvOps } = job.image;
    if (seed !== undefined) throw new SubjectLacks(SEEDED);
    if (this.#host?.host === "pvm" && usesCounter(pvOps)) throw new SubjectLacks(COUNTER_GAP);
    return await this.#run(job, this.id.backend);
  }

  async #run({ abort, ...job }: Job, backend: Backend): Promise<Trace> {
    const stop = new SharedArrayBuffer(4);
    const tell = () => void Atomics.store(new Int32Array(stop), 0, 1);
    const { wallMs } = job.group.limits;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const asking = abort && setInterval(() => abort() && tell(), ABORT_MS);
    this.#stops.add(tell);
    const { guest, limits } = job.group;
    try {
      const answer = await this.#hand.ask(
        {
          type: "run",
          backend,
          options: this.options,
          job: { ...job, group: { guest, limits } },
          stop,
        },
        wallMs + GRACE_MS.LAST,
        () => timer = setTimeout(tell, wallMs + GRACE_MS.FIRST),
      );
      if (answer.type === "trace") return answer.trace;
      if (answer.type === "silent") return stoppedTrace(job);
      if (answer.type === "lacks" || answer.type === "unavailable") {
        throw new SubjectLacks(complaint(answer));
      }
      throw new Error(`Running ${job.subject.id} on KVM: ${complaint(answer)}`);
    } finally {
      this.#stops.delete(tell);
      clearTimeout(timer);
      clearInterval(asking);
    }
  }

  /** A run that is under way ends as at its time limit. */
  close(): Promise<void> {
    for (const stop of this.#stops) stop();
    return this.#hand.close();
  }
}

function complaint(answer: Answer): string {
  switch (answer.type) {
    case "lacks":
    case "unavailable":
    case "died":
      return answer.why;
    case "defect":
      return answer.message;
    default:
      return `the thread that runs guests said "${answer.type}"`;
  }
}

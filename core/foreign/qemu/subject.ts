// QEMU as a subject: `full-bt@qemu` translates (TCG), `full-hw@qemu` runs on KVM.
import type { Backend, SubjectId } from "../../base/backend.ts";
import type { Availability, Found, Job, Subject } from "../../vmm/subject.ts";
import type { Trace } from "../../trace/trace.ts";
import type { Entry } from "../../scenario/case.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import { canary, canaryComplaint } from "../canary.ts";
import { PVM_NOTE } from "../../engine/kvm/pvm.ts";
import type { Accelerator } from "./machine.ts";
import type { QemuMode } from "./mode.ts";
import { Pool } from "./pool.ts";
import { kvmHost } from "./host.ts";
import { findProgram, findTimeout, type Program } from "./program.ts";
import { GRACE_MS, run } from "./run.ts";

/** What the user says. */
export interface QemuOptions {
  /** A name or a path; absent: the one that is installed. */
  readonly program?: string;
  /** Absent: `persistent`, which is faster and gives the same. */
  readonly mode?: QemuMode;
  /** Milliseconds beyond a run's limit on measured time, for QEMU to tell what is left. */
  readonly grace?: number;
}

const ACCELERATORS: Partial<Record<Backend, { accelerator: Accelerator; summary: string }>> = {
  "full-bt": { accelerator: "tcg", summary: "QEMU's translator (TCG), on a PC of QEMU's" },
  "full-hw": { accelerator: "kvm", summary: "QEMU on the host's KVM, on a PC of QEMU's" },
};

/** In which a VMM is tried before it is trusted at all; in other modes, before the first guest that starts in one. */
const FIRST_TRIED: Entry = "long64";

/** The subject, not tried yet; or why there is no such pair. */
export function qemuSubject(backend: Backend, options: QemuOptions = {}): Found {
  const kind = ACCELERATORS[backend];
  return kind
    ? { subject: new QemuSubject({ backend, engine: "qemu" }, kind, options) }
    : { absent: `QEMU runs unmodified guests: there is no ${backend}@qemu` };
}

class QemuSubject implements Subject {
  readonly id: SubjectId;
  readonly summary: string;
  readonly platform = "bare";
  readonly #accelerator: Accelerator;
  readonly #options: QemuOptions;
  #program: Program | undefined;
  #host: string | undefined;
  #pool: Pool | undefined;
  /** By entry: what was wrong with the canary's run. */
  readonly #tried = new Map<Entry, Promise<string | undefined>>();

  constructor(
    id: SubjectId,
    { accelerator, summary }: { accelerator: Accelerator; summary: string },
    options: QemuOptions,
  ) {
    this.id = id;
    this.summary = summary;
    this.#accelerator = accelerator;
    this.#options = options;
  }

  /** What KVM is here. */
  get host(): string | undefined {
    return this.#host;
  }

  get version(): string | undefined {
    return this.#program?.version;
  }

  async probe(): Promise<Availability> {
    const [found, timeout, host] = await Promise.all([
      findProgram(this.#options.program),
      findTimeout(),
      this.#accelerator === "kvm" ? kvmHost() : undefined,
    ]);
    if ("absent" in found) return { available: false, why: found.absent };
    this.#program = found;
    this.#host = host;
    this.#pool = new Pool({
      program: found.path,
      accelerator: this.#accelerator,
      mode: this.#options.mode ?? "persistent",
      timeout,
    });
    const complaint = await this.#complaint(FIRST_TRIED);
    if (complaint) return { available: false, why: `in ${FIRST_TRIED}, ${complaint}` };
    return host === "pvm" ? { available: true, gaps: [PVM_NOTE] } : { available: true };
  }

  unsuited(): string | undefined {
    return undefined;
  }

  async run(job: Job): Promise<Trace> {
    const { entry } = job.image;
    const complaint = await this.#complaint(entry);
    if (complaint) throw new SubjectLacks(`its canary failed: in ${entry}, ${complaint}`);
    return await this.#run(job);
  }

  async #run(job: Job): Promise<Trace> {
    if (!this.#pool) throw new Error("QEMU is asked to run before it was probed");
    return await run(job, {
      pool: this.#pool,
      accelerator: this.#accelerator,
      host: this.#host,
      grace: this.#options.grace ?? GRACE_MS,
    });
  }

  #complaint(entry: Entry): Promise<string | undefined> {
    const known = this.#tried.get(entry);
    if (known) return known;
    const tried = this.#run(canary(entry)).then(canaryComplaint);
    this.#tried.set(entry, tried);
    return tried;
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }
}

// QEMU as a subject: `full-bt@qemu` translates (TCG), `full-hw@qemu` runs on KVM.
import type { Backend, SubjectId } from "../../base/backend.ts";
import type { Availability, Found, Job, Subject } from "../../vmm/subject.ts";
import type { Trace } from "../../trace/trace.ts";
import { ENTRIES } from "../../scenario/case.ts";
import { canary, canaryComplaint } from "../canary.ts";
import { PVM_NOTE } from "../../engine/kvm/pvm.ts";
import type { Accelerator } from "./machine.ts";
import { findProgram, type Program } from "./program.ts";
import { runOnce } from "./run.ts";

/** What the user says. */
export interface QemuOptions {
  /** A name or a path; absent: the one that is installed. */
  readonly program?: string;
}

const ACCELERATORS: Partial<Record<Backend, { accelerator: Accelerator; summary: string }>> = {
  "full-bt": { accelerator: "tcg", summary: "QEMU's translator (TCG), on a PC of QEMU's" },
  "full-hw": { accelerator: "kvm", summary: "QEMU on the host's KVM, on a PC of QEMU's" },
};

function isPvmHost(): boolean {
  try {
    return Deno.statSync("/sys/module/kvm_pvm").isDirectory;
  } catch {
    return false;
  }
}

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
  #folder: string | undefined;
  #runs = 0;

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
    return this.#accelerator === "kvm" && isPvmHost() ? "pvm" : undefined;
  }

  get version(): string | undefined {
    return this.#program?.version;
  }

  async probe(): Promise<Availability> {
    const found = await findProgram(this.#options.program);
    if ("absent" in found) return { available: false, why: found.absent };
    this.#program = found;
    for (const entry of ENTRIES) {
      const complaint = canaryComplaint(await this.run(canary(entry)));
      if (complaint) return { available: false, why: `in ${entry}, ${complaint}` };
    }
    return this.host === "pvm" ? { available: true, gaps: [PVM_NOTE] } : { available: true };
  }

  unsuited(): string | undefined {
    return undefined;
  }

  async run(job: Job): Promise<Trace> {
    const program = this.#program;
    if (!program) throw new Error("QEMU is asked to run before it was probed");
    this.#folder ??= await Deno.makeTempDir({ prefix: "trivisor-qemu-" });
    const folder = `${this.#folder}/${this.#runs++}`;
    await Deno.mkdir(folder);
    try {
      return await runOnce(job, {
        program: program.path,
        accelerator: this.#accelerator,
        pvm: this.host === "pvm",
        folder,
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  async close(): Promise<void> {
    const folder = this.#folder;
    this.#folder = undefined;
    if (folder !== undefined) await Deno.remove(folder, { recursive: true });
  }
}

// What can be tested: a back end on an engine, or a whole VMM run from outside. Whoever runs cases knows only this.
import { type SubjectId, subjectName } from "../base/backend.ts";
import type { VcpuFactory } from "../engine/vcpu.ts";
import type { GuestImage, Platform } from "../guest/image.ts";
import type { Case, CaseGroup } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import type { CostProfile } from "./cost_profile.ts";
import type { BackendDefinition } from "./monitor.ts";
import { runCase } from "./runner.ts";

/** Can a subject run on this machine? */
export type Availability =
  /** `gaps`: what it is known not to do on this machine; cases that turn out to need it are skipped, for that reason. */
  | { readonly available: true; readonly gaps?: readonly string[] }
  /** `why` is a sentence for `doctor`, and the reason of a skipped case. */
  | { readonly available: false; readonly why: string };

/** One run to make, built. */
export interface Job {
  /** What all cases of the group share; its limits end the run, whatever the guest does. */
  readonly group: Pick<CaseGroup, "guest" | "limits">;
  /** The case, of the back end and engine that are asked to run it. */
  readonly subject: Case;
  /** The guest, built for the subject's platform. */
  readonly image: GuestImage;
  /** What exits and operations cost: virtual time runs on it, and the modelled cycles come from it. */
  readonly profile: CostProfile;
  /** Asked now and then; true ends the run as a time limit does. */
  readonly abort?: () => boolean;
  /** Ends the run right after so many accesses, by the limit `events`; who can't do that runs on. */
  readonly stopAfter?: number;
}

/** Something that runs cases. */
export interface Subject {
  /** Its back end and engine. */
  readonly id: SubjectId;
  /** One line on how it virtualizes. */
  readonly summary: string;
  /** What the pv-ops of its guests are to be bound to. */
  readonly platform: Platform;
  /** Of the program, or of the kernel, that is outside of trivisor, as in `7.2.13`; known once it has been probed. */
  readonly version?: string | undefined;
  /** What it runs on, where that matters to its deviations: `pvm`, `svm`, `vmx`; known once it has been probed. */
  readonly host?: string | undefined;
  /** Can it run here at all? Asked once before it runs anything; a foreign subject is tried by a canary then. */
  probe(): Availability | Promise<Availability>;
  /** Can it run this image? A sentence says why not. */
  unsuited(image: Pick<GuestImage, "entry" | "cpus">): string | undefined;
  /**
   * Runs a case to its end. Throws only on defects of the harness itself, and {@linkcode SubjectLacks} where the run has shown
   * that this subject can't do it here.
   */
  run(job: Job): Trace | Promise<Trace>;
  /** Ends what it holds: processes, workers. It may be used again afterwards. */
  close?(): Promise<void>;
}

/** Where the subjects of a run come from. */
export interface SubjectSource {
  /** The subject of this back end and engine, the same one every time; or why there is none that works here. */
  find(id: SubjectId): Found | Promise<Found>;
}

/** `absent` is a sentence without a full stop: the reason of a skipped case. */
export type Found = { readonly subject: Subject } | { readonly absent: string };

/** A subject in this thread: what it does, it does at once. */
export interface LocalSubject extends Subject {
  /** As {@linkcode Subject.probe}, at once. */
  probe(): Availability;
  /** As {@linkcode Subject.run}, at once. */
  run(job: Job): Trace;
}

/** The monitor of a back end, on a virtual CPU that an engine makes. */
export function monitorSubject(
  id: SubjectId,
  backend: BackendDefinition,
  engine: VcpuFactory,
): LocalSubject {
  if (backend.backend !== id.backend) {
    throw new Error(`${subjectName(id)} can't be made of ${backend.backend}`);
  }
  return {
    id,
    summary: backend.summary,
    platform: backend.platform,
    probe: () => ({ available: true }),
    unsuited: (image) => backend.unsuited(image),
    run: (job) => runCase({ ...job, backend, engine }),
  };
}

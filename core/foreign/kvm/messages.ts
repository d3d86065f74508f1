// What the thread that judges and the one that runs KVM's guests say to each other.
import type { Backend } from "../../base/backend.ts";
import type { KvmOptions } from "../../engine/kvm/engine.ts";
import type { KvmHost } from "../../engine/kvm/host.ts";
import type { Trace } from "../../trace/trace.ts";
import type { Job } from "../../vmm/subject.ts";

export type ToWorker =
  | {
    readonly type: "run";
    readonly backend: Backend;
    readonly job: Omit<Job, "abort">;
    readonly options: KvmOptions;
    /** One 32-bit number: not zero once the run is to end. */
    readonly stop: SharedArrayBuffer;
  }
  | { readonly type: "probe" }
  /** Closes what it holds and ends. */
  | { readonly type: "close" };

/** As it gets there. */
export type Request = ToWorker & {
  /** Where the thread writes down what it holds (core/engine/kvm/holdings.ts). */
  readonly holdings: SharedArrayBuffer;
  /** Of a run of several CPUs: their threads listen there (core/engine/kvm/orders.ts). */
  readonly orders?: SharedArrayBuffer;
};

/** `why` is a sentence without a full stop. */
export type FromWorker =
  /** It can be asked now. */
  | { readonly type: "ready" }
  | { readonly type: "trace"; readonly trace: Trace }
  | { readonly type: "lacks"; readonly why: string }
  | { readonly type: "defect"; readonly message: string }
  | { readonly type: "system" } & KvmHost
  | { readonly type: "unavailable"; readonly why: string }
  | { readonly type: "closed" };

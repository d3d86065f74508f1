// What each back end is, apart from its code: all that is needed of it where its guests run elsewhere.
import type { Backend } from "../base/backend.ts";
import type { GuestImage } from "../guest/image.ts";

/** One back end, told. */
export interface BackendDescription {
  /** Its name. */
  readonly backend: Backend;
  /** One line for `doctor` and the documentation. */
  readonly summary: string;
  /** What the pv-ops of its guests are bound to. */
  readonly platform: GuestImage["platform"];
  /** Why it can't run this image, or undefined. */
  unsuited(image: Pick<GuestImage, "entry" | "cpus">): string | undefined;
}

const anything = () => undefined;

/** In the order in which tables show them. */
export const BACKEND_DESCRIPTIONS: Readonly<Record<Backend, BackendDescription>> = {
  "native": {
    backend: "native",
    summary: "no monitor: the reference for overhead",
    platform: "bare",
    unsuited: anything,
  },
  "full-bt": {
    backend: "full-bt",
    summary:
      "binary translation: inlined operations and callouts, shadow paging, emulated PC devices",
    platform: "bare",
    unsuited: anything,
  },
  "full-hw": {
    backend: "full-hw",
    summary: "hardware-assisted: VM exits, nested paging, emulated PC devices",
    platform: "bare",
    unsuited: anything,
  },
  "full-hw/shadow": {
    backend: "full-hw/shadow",
    summary: "full-hw without nested paging: shadow page tables, by VM exits",
    platform: "bare",
    unsuited: anything,
  },
  "para": {
    backend: "para",
    summary: "ported guests on Xen's PV interface: hypercalls, direct paging, event channels",
    platform: "xen",
    unsuited: ({ entry, cpus = 1 }) => {
      if (cpus > 1) return "para domains have one CPU so far";
      return entry === "long64"
        ? undefined
        : `para starts guests in long mode, and this one in ${entry}`;
    },
  },
  "hybrid": {
    backend: "hybrid",
    summary: "hardware-assisted, with virtio devices and KVM's paravirtual features",
    platform: "kvm",
    unsuited: anything,
  },
};

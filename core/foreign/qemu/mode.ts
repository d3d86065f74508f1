// How QEMU's processes are used: what the command line asks for.

/** A process a run, or, where the machine allows it, one for many. */
export const QEMU_MODES = ["one-shot", "persistent"] as const;
export type QemuMode = (typeof QEMU_MODES)[number];

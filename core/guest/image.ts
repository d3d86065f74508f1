// What building makes of a guest: bytes at addresses, and how to find the way back to the source.
import type { Span } from "../base/source.ts";
import type { DiskSpec, Entry, GuestFormat } from "../scenario/case.ts";

/** What the pv-ops of a guest are bound to. */
export const PLATFORMS = ["bare", "xen", "kvm"] as const;
/** `bare`: a PC's devices; `xen`: the Xen PV ABI; `kvm`: virtio and KVM's PV features. */
export type Platform = typeof PLATFORMS[number];

/** Bytes and where they are loaded. */
export interface Placed {
  /** Guest-physical address; also the linear one, as every entry starts identity-mapped. */
  readonly address: number;
  /** At least one. */
  readonly bytes: Uint8Array;
}

/** One assembled line. */
export interface LineEntry {
  /** Guest-physical address of its first byte. */
  readonly address: number;
  /** In bytes. */
  readonly length: number;
  /** Where it is written: in the scenario, or in a library. */
  readonly span: Span;
}

/** A guest, built for one platform: all that a subject needs to run it. */
export interface GuestImage {
  /** The CPU mode of its first instruction. */
  readonly entry: Entry;
  /** Of a guest from a file: how it was loaded, which decides the state that it starts in. It finds a whole PC around it. */
  readonly format?: GuestFormat;
  /** Mapped read-only so that it ends at 4 GiB. */
  readonly rom?: Uint8Array;
  /** What its pv-ops are bound to. */
  readonly platform: Platform;
  /** Bytes of RAM. */
  readonly memory: number;
  /** How many CPUs; absent: one. The others wait until the first one starts them. */
  readonly cpus?: number;
  /** What RDRAND's and RDSEED's numbers come from; absent: the same for every guest. */
  readonly seed?: number;
  /** Program and libraries; no two overlap. */
  readonly placed: readonly Placed[];
  /** Where the first instruction is. */
  readonly start: number;
  /** First address after the program and all that belongs to it, page-aligned: free RAM begins here. */
  readonly free: number;
  /** Values at entry, by name in lower case. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** Labels and equs. Local labels are `parent.local`. */
  readonly symbols: Readonly<Record<string, bigint>>;
  /** Sorted by address. */
  readonly lines: readonly LineEntry[];
  /** Names of the pv-ops that the program uses, sorted. Empty: an unmodified guest. */
  readonly pvOps: readonly string[];
  /** Its disks, in the order in which the platform numbers them. */
  readonly disks: readonly DiskSpec[];
}

// What building makes of a guest: bytes at addresses, and how to find the way back to the source.
import type { Span } from "../base/source.ts";
import type { DiskSpec, Entry } from "../scenario/case.ts";

/** What the pv-ops of a guest are bound to. */
export const PLATFORMS = ["bare", "xen", "kvm"] as const;
export type Platform = typeof PLATFORMS[number];

export interface Placed {
  /** Guest-physical address; also the linear one, as every entry starts identity-mapped. */
  readonly address: number;
  readonly bytes: Uint8Array;
}

/** One assembled line. */
export interface LineEntry {
  readonly address: number;
  readonly length: number;
  readonly span: Span;
}

export interface GuestImage {
  readonly entry: Entry;
  readonly platform: Platform;
  /** Bytes of RAM. */
  readonly memory: number;
  /** Program and libraries; no two overlap. */
  readonly placed: readonly Placed[];
  /** Where the first instruction is. */
  readonly start: number;
  /** First address after the program and all that belongs to it, page-aligned: free RAM begins here. */
  readonly free: number;
  readonly registers: Readonly<Record<string, bigint>>;
  /** Labels and equs. Local labels are `parent.local`. */
  readonly symbols: Readonly<Record<string, bigint>>;
  /** Sorted by address. */
  readonly lines: readonly LineEntry[];
  /** Names of the pv-ops that the program uses, sorted. Empty: an unmodified guest. */
  readonly pvOps: readonly string[];
  readonly disks: readonly DiskSpec[];
}

// What a loader is given, and what it makes of a file. One file a format beside this one; `load.ts` chooses among them.
import type { Entry, GuestFormat } from "../../scenario/case.ts";
import type { Placed } from "../image.ts";

/** A file that a boot loader hands to the kernel as it is. */
export interface Module {
  /** As the scenario names it: the kernel may see this. */
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A guest file and what the scenario says of it. */
export interface GuestFile {
  /** As the scenario names it. */
  readonly name: string;
  /** Untrusted. */
  readonly bytes: Uint8Array;
  /** Bytes of RAM. */
  readonly memory: number;
  /** How many CPUs; absent: one. */
  readonly cpus?: number;
  /** The CPU mode of a flat file; the other formats have one of their own. */
  readonly entry: Entry;
  /** Guest-physical address of a flat file, where the scenario gives one. */
  readonly load?: number;
  /** For formats that have one. */
  readonly commandLine: string;
  readonly modules: readonly Module[];
}

/** Guest-physical addresses, the end exclusive. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** A file in memory. */
export interface Loaded {
  readonly format: GuestFormat;
  readonly entry: Entry;
  /** Whatever is not zero. */
  readonly placed: readonly Placed[];
  /** All that it occupies, zeros included; no two overlap. */
  readonly occupied: readonly Range[];
  /** Guest-physical address of the first instruction. */
  readonly start: number;
  /** What the boot protocol hands over in registers, by name. */
  readonly registers: Readonly<Record<string, bigint>>;
  /** Labels, by linear address. */
  readonly symbols: Readonly<Record<string, bigint>>;
  /** To be mapped so that it ends at 4 GiB. */
  readonly rom?: Uint8Array;
}

/** Why a file can't be loaded: a sentence for the user, capitalised, without a full stop. */
export interface Refused {
  readonly problem: string;
  readonly suggestion?: string;
}

/** What comes of loading. */
export type Loading = Loaded | Refused;

/** Was it refused? */
export function isRefused(value: object): value is Refused {
  return "problem" in value;
}

// What instruction semantics in TypeScript work on: state, memory through the MMU, and the CPU's surroundings.
import type { Bus } from "../machine/bus.ts";
import type { CpuState } from "./state.ts";

/** Values of EAX, EBX, ECX, EDX. */
export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];

/** Guest-physical memory, RAM and device memory alike. */
export interface PhysicalMemory {
  /** Is the whole range RAM? */
  isRam(address: number, length: number): boolean;
  /** Is it RAM that may be written: no copy of a ROM? */
  isWritable(address: number, length: number): boolean;
  /** Is address line 20 open? Where it is closed, bit 20 of every address that the CPU puts on the bus is clear. */
  readonly a20: boolean;
  /** Little-endian, `size` bytes, zero-extended. Device memory goes to the bus, or leaves the guest. */
  read(address: number, size: 1 | 2 | 4 | 8): bigint;
  write(address: number, size: 1 | 2 | 4 | 8, value: bigint): void;
}

/** Where linear addresses lead. Every method throws `GuestFault` (#PF, #GP for non-canonical) when they lead nowhere. */
export interface AddressSpace {
  /** Guest-physical address, with accessed and dirty bits set as the access demands. */
  translate(linear: bigint, access: AccessType): number;
  /** Reads through translation, also across pages; `size` bytes, zero-extended. */
  read(linear: bigint, size: number, access?: Partial<AccessType>): bigint;
  write(linear: bigint, size: number, value: bigint, access?: Partial<AccessType>): void;
}

/** What an access is, as page tables judge it. */
export interface AccessType {
  readonly write: boolean;
  readonly execute: boolean;
  /** Checked as user access: CPL 3, and not an implicit supervisor access (descriptor tables, TSS). */
  readonly user: boolean;
  /** The CPU's own access to a system structure: EFLAGS.AC does not lift SMAP for it (SDM vol. 3, 4.6.1). */
  readonly implicit?: boolean;
}

/**
 * Which cached translations go (SDM vol. 3, 4.10.4.1). Any may go at any time, so that an engine may drop more.
 * - `everything`: of all contexts, global pages included.
 * - `contexts`: of all contexts, but not global pages.
 * - `context`: those of one PCID, but not global pages.
 * - `page`: the page that holds this address, in one context, and as a global page if `global`.
 * - `rights`: none; but what they allow has changed.
 */
export type Flush =
  | { readonly of: "everything" | "contexts" | "rights" }
  | { readonly of: "context"; readonly pcid: number }
  | {
    readonly of: "page";
    readonly pcid: number;
    readonly linear: bigint;
    readonly global: boolean;
  };

/** What a CPU is plugged into. */
export interface Surroundings {
  /** Ports and device memory, when instructions reach devices directly (`native`). */
  readonly bus?: Bus;
  /** The time stamp counter. */
  timestamp(): bigint;
  cpuid(leaf: number, subleaf: number): CpuidResult;
  /** The next number for RDRAND and RDSEED: 64 bits. */
  random(): bigint;
  /** An MSR of the platform's, before the CPU's own; undefined: it is none, or can't be read. */
  readMsr?(msr: number): bigint | undefined;
  /** True: it is written; false: #GP; undefined: it is none of the platform's. */
  writeMsr?(msr: number, value: bigint): boolean | undefined;
  /** CR0, CR3, CR4 or EFER changed, or INVLPG, or INVPCID: drop cached translations. */
  flushTranslations(flush: Flush): void;
  /** A task switch is about to happen, and all that comes before a VM exit has been checked: whoever wants it throws. */
  taskSwitch?(selector: number): void;
  /** Something that bare hardware pays for too: `port-io`, `exception`, `interrupt`, ... (names of the cost profile). */
  count(what: string): void;
}

/** One CPU. */
export interface Cpu {
  readonly state: CpuState;
  readonly physical: PhysicalMemory;
  readonly memory: AddressSpace;
  readonly surroundings: Surroundings;
}

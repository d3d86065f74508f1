// What instruction semantics in TypeScript work on: state, memory through the MMU, and the CPU's surroundings.
import type { Bus } from "../machine/bus.ts";
import type { CpuState } from "./state.ts";

/** Values of EAX, EBX, ECX, EDX. */
export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];

/** Guest-physical memory, RAM and device memory alike. */
export interface PhysicalMemory {
  /** Is the whole range RAM? */
  isRam(address: number, length: number): boolean;
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

/** What a CPU is plugged into. */
export interface Surroundings {
  /** Ports and device memory, when instructions reach devices directly (`native`). */
  readonly bus?: Bus;
  /** The time stamp counter. */
  timestamp(): bigint;
  cpuid(leaf: number, subleaf: number): CpuidResult;
  /** An MSR that is not CPU state in the layout (APIC base, MTRRs, ...); undefined: #GP. */
  readMsr?(msr: number): bigint | undefined;
  /** False: #GP. */
  writeMsr?(msr: number, value: bigint): boolean;
  /** CR0, CR3, CR4 or EFER changed, or INVLPG: drop cached translations (all, or of one page). */
  flushTranslations(linear?: bigint): void;
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

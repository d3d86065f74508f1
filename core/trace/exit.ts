// What a run is made of: exits, accesses, injections and console output. Plain values; 64-bit quantities are bigints and
// become hexadecimal strings in JSON.

/** What brings control from guest to VMM. */
export const EXIT_VIAS = ["vm-exit", "callout", "hypercall", "fault"] as const;
export type ExitVia = typeof EXIT_VIAS[number];

/**
 * The kinds of exit, each with the named values it carries. Names follow the VMX basic exit reasons; `exit_kinds.ts` has
 * the table of numbers. The last group has no hardware reason: it is what a monitor makes of a page fault or a gate.
 */
export interface ExitDetails {
  "exception": { vector: number; errorCode?: number; address?: bigint };
  "external-interrupt": { vector?: number };
  "interrupt-window": Record<string, never>;
  "triple-fault": Record<string, never>;
  "task-switch": { selector: number };
  "cpuid": { leaf: number; subleaf: number };
  "hlt": Record<string, never>;
  "invd": Record<string, never>;
  "wbinvd": Record<string, never>;
  "invlpg": { address: bigint };
  "rdpmc": { counter: number };
  "rdtsc": Record<string, never>;
  "rdtscp": Record<string, never>;
  "vmcall": { number: bigint };
  "cr-access": { register: number; access: CrAccess; value: bigint };
  "dr-access": { register: number; direction: Direction };
  /** `value` of an `in` is what the guest got. Of string instructions, one exit an element. */
  "io": { port: number; direction: Direction; size: number; value: number; string?: boolean };
  "msr-read": { msr: number; value?: bigint };
  "msr-write": { msr: number; value: bigint };
  "monitor": Record<string, never>;
  "mwait": Record<string, never>;
  "pause": Record<string, never>;
  "gdtr-idtr": { instruction: string };
  "ldtr-tr": { instruction: string };
  "xsetbv": { register: number; value: bigint };
  /** Nested paging: the guest-physical address has no translation; for device memory, size and value too. */
  "ept-violation": { gpa: number; access: MemoryAccess; size?: number; value?: bigint };
  /** Software technique: a sensitive instruction with no VMX reason of its own (popf, iret, push cs, ...). */
  "instruction": { instruction: string };
  "software-interrupt": { vector: number };
  /** Shadow paging: a translation was missing from the shadow tables. */
  "shadow-fill": { address: bigint; access: MemoryAccess };
  /** Shadow paging: a store to a write-protected guest page table. */
  "trace": { address: bigint; gpa: number };
  /** Device memory reached without nested paging. */
  "mmio": { gpa: number; access: MemoryAccess; size: number; value: bigint };
  /** SYSCALL that the VMM must carry on to the guest's kernel. */
  "syscall": { number: bigint };
  "hypercall": { name: string; number: bigint; arguments: bigint[]; result?: bigint };
}
export type ExitKind = keyof ExitDetails;
export type Direction = "in" | "out";
export type CrAccess = "mov-to" | "mov-from" | "clts" | "lmsw" | "smsw";
export type MemoryAccess = "read" | "write" | "execute";

/** A transfer of control from guest to VMM. */
export type Exit = {
  [K in ExitKind]: {
    readonly kind: K;
    readonly via: ExitVia;
    /** Where the guest was: the linear address of the instruction. */
    readonly rip: bigint;
    /** Bytes of the instruction, where the engine knows them; empty for asynchronous exits. */
    readonly bytes: Uint8Array;
    /** 16, 32 or 64: how to disassemble the bytes. */
    readonly bitness: 16 | 32 | 64;
    readonly detail: ExitDetails[K];
  };
}[ExitKind];

/** What a device saw. */
export type Access =
  | {
    readonly kind: "io" | "mmio";
    readonly device: string;
    /** Port or guest-physical address. */
    readonly address: number;
    readonly direction: Direction;
    readonly size: number;
    readonly value: number;
  }
  | { readonly kind: "queue-notify"; readonly device: string; readonly queue: number }
  | { readonly kind: "device-needs-reset"; readonly device: string; readonly reason: string };
export type AccessKind = Access["kind"];

/** An interrupt or exception that the VMM, or on `native` the board, delivers to the guest. */
export type Injection =
  | { readonly kind: "external-interrupt"; readonly vector: number }
  | {
    readonly kind: "exception";
    readonly vector: number;
    readonly errorCode?: number;
    readonly address?: bigint;
  }
  | { readonly kind: "nmi"; readonly vector: number }
  /** A Xen event-channel upcall. `port` is the lowest pending one. */
  | { readonly kind: "event"; readonly vector: number; readonly port: number };
export type InjectionKind = Injection["kind"];

/** How a run ended. */
export type EndState =
  | { readonly kind: "shutdown"; readonly code: number }
  /** Halted with nothing left that could wake it. */
  | { readonly kind: "halt" }
  | { readonly kind: "triple-fault" }
  /** A privileged instruction in a guest that should have been ported. */
  | { readonly kind: "unported"; readonly instruction: string; readonly rip: bigint }
  | { readonly kind: "limit"; readonly limit: "instructions" | "exits" | "time" }
  /** The VMM refused to go on: a missing handler, a hostile request. `reason` is a sentence. */
  | { readonly kind: "crash"; readonly reason: string; readonly rip: bigint };
export type EndKind = EndState["kind"];

// What a run is made of: exits, accesses, injections and console output. Plain values; 64-bit quantities are bigints and
// become hexadecimal strings in JSON.

/** What brings control from guest to VMM. */
export const EXIT_VIAS = ["vm-exit", "callout", "hypercall", "fault"] as const;
/**
 * One of {@linkcode EXIT_VIAS}: `vm-exit` is the hardware's, `callout` a translator's, `hypercall` the guest's own gate, `fault`
 * an exception that deprivileged code raises.
 */
export type ExitVia = typeof EXIT_VIAS[number];

/**
 * The kinds of exit, each with the named values it carries. Names follow the VMX basic exit reasons; `exit_kinds.ts` has
 * the table of numbers. The last group has no hardware reason: it is what a monitor makes of a page fault or a gate.
 */
export interface ExitDetails {
  /**
   * An exception (SDM vol. 3, 6.3.1): `vector` 0 to 31; `errorCode` where the vector has one; `address` is CR2 of a page fault.
   */
  "exception": { vector: number; errorCode?: number; address?: bigint };
  /** The host's own interrupt, as when a device's deadline comes up while the guest runs. */
  "external-interrupt": { vector?: number };
  /** The guest can take an interrupt again, and the VMM had asked to be told. */
  "interrupt-window": Record<string, never>;
  /** A fault on the way to the double-fault handler. */
  "triple-fault": Record<string, never>;
  /** A task gate or TSS was used; `selector` of the new task. */
  "task-switch": { selector: number };
  /** CPUID, with EAX and ECX. */
  "cpuid": { leaf: number; subleaf: number };
  /** HLT. */
  "hlt": Record<string, never>;
  /** INVD. */
  "invd": Record<string, never>;
  /** WBINVD. */
  "wbinvd": Record<string, never>;
  /** INVLPG of a linear address. */
  "invlpg": { address: bigint };
  /** INVPCID: its type, and what its descriptor says. */
  "invpcid": { type: bigint; pcid: bigint; address: bigint };
  /** RDPMC; `counter` is ECX. */
  "rdpmc": { counter: number };
  /** RDTSC. */
  "rdtsc": Record<string, never>;
  /** RDTSCP. */
  "rdtscp": Record<string, never>;
  /** VMCALL or VMMCALL; `number` is RAX. */
  "vmcall": { number: bigint };
  /** An access to CR0, CR2, CR3, CR4 or CR8: `value` is what is moved. */
  "cr-access": { register: number; access: CrAccess; value: bigint };
  /** MOV to (`out`) or from (`in`) a debug register, 0 to 7. */
  "dr-access": { register: number; direction: Direction };
  /** `value` of an `in` is what the guest got. Of string instructions, one exit an element. */
  "io": { port: number; direction: Direction; size: number; value: number; string?: boolean };
  /** RDMSR; `msr` is ECX, `value` what the guest got unless it faulted. */
  "msr-read": { msr: number; value?: bigint };
  /** WRMSR of EDX:EAX. */
  "msr-write": { msr: number; value: bigint };
  /** MONITOR. */
  "monitor": Record<string, never>;
  /** MWAIT. */
  "mwait": Record<string, never>;
  /** PAUSE. */
  "pause": Record<string, never>;
  /** LGDT, LIDT, SGDT or SIDT, by mnemonic. */
  "gdtr-idtr": { instruction: string };
  /** LLDT, LTR, SLDT or STR, by mnemonic. */
  "ldtr-tr": { instruction: string };
  /** XSETBV of an extended control register. */
  "xsetbv": { register: number; value: bigint };
  /** Nested paging: the guest-physical address has no translation; for device memory, size and value too. */
  "ept-violation": { gpa: number; access: MemoryAccess; size?: number; value?: bigint };
  /** Software technique: a sensitive instruction with no VMX reason of its own (popf, iret, push cs, ...). */
  "instruction": { instruction: string };
  /** INT n of a deprivileged guest. */
  "software-interrupt": { vector: number };
  /** Shadow paging: a translation was missing from the shadow tables. */
  "shadow-fill": { address: bigint; access: MemoryAccess };
  /** Shadow paging: a store to a write-protected guest page table. */
  "trace": { address: bigint; gpa: number };
  /** Device memory reached without nested paging. */
  "mmio": { gpa: number; access: MemoryAccess; size: number; value: bigint };
  /** SYSCALL that the VMM must carry on to the guest's kernel. */
  "syscall": { number: bigint };
  /** A hypercall by the name its interface gives it; `number` is RAX, `result` what the guest got. */
  "hypercall": { name: string; number: bigint; arguments: bigint[]; result?: bigint };
}
/** A kind of exit, in kebab case, as scenarios write it. */
export type ExitKind = keyof ExitDetails;
/** As the CPU sees it: `in` reads, `out` writes. */
export type Direction = "in" | "out";
/** How a control register is reached (SDM vol. 3, table 28-3); `smsw` exits under translation only. */
export type CrAccess = "mov-to" | "mov-from" | "clts" | "lmsw" | "smsw";
/** What the guest did at the address. */
export type MemoryAccess = "read" | "write" | "execute";

/** A transfer of control from guest to VMM. */
export type Exit = {
  [K in ExitKind]: {
    /** What happened. */
    readonly kind: K;
    /** How it got to the VMM. */
    readonly via: ExitVia;
    /** Where the guest was: the linear address of the instruction. */
    readonly rip: bigint;
    /** Bytes of the instruction, where the engine knows them; empty for asynchronous exits. */
    readonly bytes: Uint8Array;
    /** 16, 32 or 64: how to disassemble the bytes. */
    readonly bitness: 16 | 32 | 64;
    /** The values of this kind. */
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
/** What an access is: `io`, `mmio`, `queue-notify` or `device-needs-reset`. */
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
/** What is delivered: `external-interrupt`, `exception`, `nmi` or `event`. */
export type InjectionKind = Injection["kind"];

/** How a run ended. */
export type EndState =
  | { readonly kind: "shutdown"; readonly code: number }
  /** Halted with nothing left that could wake it. */
  | { readonly kind: "halt" }
  | { readonly kind: "triple-fault" }
  /** A privileged instruction in a guest that should have been ported. */
  | { readonly kind: "unported"; readonly instruction: string; readonly rip: bigint }
  /** `events`: it was to be stopped after so many accesses, to be looked at. */
  | { readonly kind: "limit"; readonly limit: "instructions" | "exits" | "time" | "events" }
  /** The VMM refused to go on: a missing handler, a hostile request. `reason` is a sentence. */
  | { readonly kind: "crash"; readonly reason: string; readonly rip: bigint };

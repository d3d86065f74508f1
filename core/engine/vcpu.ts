// The contract between engines and monitors: what KVM offers, as an interface. The embedded engine and KVM implement it;
// devices and monitors cannot tell which they run on, except by asking for a capability.
import type { RegisterName, Registers, Segment, SegmentName } from "../base/registers.ts";
import type { Exit, ExitKind, ExitVia } from "../trace/exit.ts";
import type { Hidden } from "../trace/trace.ts";
import type { Bus } from "../machine/bus.ts";
import type { InterruptInputs } from "../machine/controllers.ts";
import type { GuestMemory } from "../machine/memory.ts";
import type { CpuidResult } from "../cpu/cpu.ts";
import type { Intercepts } from "../cpu/intercepts.ts";
import type { TreatmentTable } from "../cpu/sensitive_operations.ts";

/** What an engine can do. */
export interface Capabilities {
  readonly exits: "exact" | "coarse" | "none";
  /** The kinds of exit that come to the VMM, where others are handled below it; absent: all. */
  readonly exitKinds?: readonly ExitKind[];
  /** What else happens below the VMM, and is in no trace; absent: nothing. */
  readonly hidden?: Hidden;
  readonly deterministic: boolean;
  readonly singleStep: boolean;
  /** Monitors may supply shadow page tables, treatments and exception bitmaps. */
  readonly controls: boolean;
}

/**
 * How the guest's linear addresses are translated.
 * - `direct`: by the guest's own tables; physical addresses outside RAM go to the bus (`native`) or make `mmio` exits.
 * - `nested`: by the guest's own tables, then by the VMM's: outside RAM is an `ept-violation`.
 * - `shadow`: by the tables that the monitor gives; what they lack is a page fault that exits.
 */
export type Paging = "direct" | "nested" | "shadow";

/** One page of a shadow page table. */
export interface ShadowEntry {
  /** Guest-physical page address; RAM, or device memory (which makes `mmio` exits). */
  readonly gpa: number;
  readonly writable: boolean;
  readonly user: boolean;
  readonly executable: boolean;
}

/** The monitor's shadow tables, as the MMU walks them. */
export interface ShadowTables {
  /** By linear page address (lower 12 bits zero), unsigned. */
  lookup(page: bigint): ShadowEntry | undefined;
}

/** What makes the guest leave, as VMX's execution controls or a translator's settings say. */
export interface ExecutionControls {
  /** For CPL 0 to 2, and for CPL 3. */
  readonly kernel: TreatmentTable;
  readonly user: TreatmentTable;
  /** How an exception that exits is brought to the VMM. */
  readonly exceptionVia: ExitVia;
  /** Bit n: exception vector n exits instead of going through the guest's IDT. */
  readonly exceptions: number;
  /** Which of the instructions that `vm-exit` names stay in the guest all the same; absent: none. */
  readonly intercepts?: Intercepts;
  readonly paging: Paging;
}

export interface VcpuConfig {
  /** Bytes of RAM, from guest-physical address 0. */
  readonly memory: number;
  readonly controls: ExecutionControls;
  /** Given when instructions and addresses reach devices directly: on `native`. */
  readonly bus?: Bus;
  /** Mapped read-only so that it ends at 4 GiB. Its end in RAM, below 1 MiB, can't be written by the guest either. */
  readonly rom?: Uint8Array;
  /** Value of the time stamp counter, in cycles of `TSC_HZ`. */
  readonly timestamp: () => bigint;
  /** What CPUID says where it does not exit. */
  readonly cpuid: (leaf: number, subleaf: number) => CpuidResult;
  /** Numbers for RDRAND and RDSEED, 64 bits each; absent: those of the default seed. */
  readonly random?: () => bigint;
  /** Things that native hardware does at a cost, as they happen; named as in cost profiles. */
  readonly count: (what: string) => void;
  /** Absent: there is no local APIC, or it is the engine's. */
  readonly localApic?: LocalApicRegisters;
  /** Where interrupt controllers are the engine's: has the CPU a local APIC? */
  readonly ownLocalApic?: boolean;
  /** Absent: there are none. */
  readonly doorbells?: Doorbells;
}

/** Registers whose writes need no answer, as virtio's notifications: an engine may collect them where others exit at each. */
export interface Doorbells {
  /** 32 bits wide, by guest-physical address; values from 0 on, so many of them. */
  readonly registers: readonly { readonly gpa: number; readonly values: number }[];
  /** It was written, once or several times. */
  ring(gpa: number, value: number): void;
}

/** What of a local APIC is not in its memory page, but belongs to the instructions of its CPU. */
export interface LocalApicRegisters {
  /** An MSR of the APIC's; undefined: it is none, or can't be read (#GP). */
  readMsr(msr: number): bigint | undefined;
  /** True: it is written; false: #GP; undefined: it is none of the APIC's. */
  writeMsr(msr: number, value: bigint): boolean | undefined;
  /** CR8: the task priority's upper four bits. */
  priorityClass: number;
}

/** Interrupt controllers of a machine that are the engine's: they deliver by themselves, and end halts. */
export interface LowerInterrupts extends InterruptInputs {
  /** Sends a message, as local APICs do, to the CPU whose APIC id that is; false if none takes it. */
  send(apicId: number, message: { readonly mode: number; readonly vector: number }): boolean;
}

/** The halts of a CPU that such controllers end. */
export interface LowerHalts {
  /** Would it go on if it were entered now? */
  wakes(): boolean;
  /** Another CPU has yet to start it. */
  readonly waitsForStartUp: boolean;
  /** Ends its halt, whatever is masked. */
  end(): void;
}

/** An event to deliver through the guest's IDT (or IVT) at the next entry, as VM-entry event injection does. */
export interface Event {
  readonly type: "external-interrupt" | "exception" | "nmi" | "software-interrupt";
  readonly vector: number;
  readonly errorCode?: number;
  /** CR2, for a page fault. */
  readonly address?: bigint;
}

/** Why `run` returned. */
export type Stop =
  /** The VMM has work: RIP is at the instruction, nothing of it has happened yet. */
  | { readonly reason: "exit"; readonly exit: Exit }
  /** The instructions granted are used up, or (native) a device was touched and deadlines may have moved. */
  | { readonly reason: "budget" }
  /** HLT executed without an exit; RIP is after it. */
  | { readonly reason: "idle" }
  /** MWAIT executed without an exit; RIP is after it. It may go on at any time, and finds nothing new before the next event. */
  | { readonly reason: "wait" }
  /** PAUSE executed without an exit, on one of several CPUs: it waits for what another one does. */
  | { readonly reason: "pause" };

/** One virtual CPU with its memory. */
export interface Vcpu {
  readonly capabilities: Capabilities;
  readonly memory: GuestMemory;
  /** The instruction that makes a `syscall` exit where it stands in the hypercall page; absent: SYSCALL, as everywhere else. */
  readonly hypercallGate?: Uint8Array;
  /** The engine's interrupt controllers, those of the whole machine, and what they do to this CPU; absent: the board has them. */
  readonly lower?: { readonly interrupts: LowerInterrupts; readonly halts: LowerHalts } | undefined;

  /** Guest instructions retired since creation; 0 for ever on an engine that does not count them. */
  readonly retired: number;
  /** Sensitive operations that translated code did without leaving, by name; exact. */
  inlined(): Record<string, number>;

  get(name: RegisterName): bigint;
  /** Setting a control register drops cached translations as the architecture does. */
  set(name: RegisterName, value: bigint): void;
  segment(name: SegmentName): Segment;
  setSegment(name: SegmentName, segment: Segment): void;
  setDescriptorTable(name: "gdtr" | "idtr", base: bigint, limit: number): void;
  getMsr(msr: number): bigint | undefined;
  setMsr(msr: number, value: bigint): void;
  registers(): Registers;
  /** Current privilege level. */
  readonly cpl: number;
  /** FERR#: who is told when an x87 exception comes up without CR0.NE; `run` returns then. */
  watchFloatErrors(listener: () => void): void;

  /**
   * Runs until an exit, for at most `budget` guest instructions (at least 1); on an engine with `hostTime`, which can't count
   * those, for about `nanoseconds` of measured time instead.
   */
  run(budget: number, nanoseconds?: number): Stop;

  /**
   * Completes the last exit, if it was a port or device-memory access, as KVM does on re-entry: `value` is what was read.
   * The instruction retires at the next `run`.
   */
  complete(value?: bigint): void;
  /**
   * An instruction has begun and goes on at the next `run`, with what devices have answered it: no other CPU may run before,
   * or a locked instruction would not be atomic.
   */
  readonly midway: boolean;
  /** Moves RIP past the instruction that exited, and retires it. */
  skip(): void;
  /**
   * Does the instruction that exited as the architecture would, on the guest's state, whatever the controls say; the
   * fault it raises, if any, is returned (and not delivered). Memory it needs must be mapped.
   */
  emulate(): Event | undefined;
  /** As `emulate`, for any instruction at RIP that stores to a write-protected page `gpa`: that page is writable for it. */
  emulateStore(gpa: number): Event | undefined;

  /** Queues an event for the next `run`; at most one can be queued. */
  inject(event: Event): void;
  /** Asserts NMI: it is kept until it can be delivered, one at most, and nobody need ask for a window. */
  nmi(): void;
  /** Is something due before the next instruction that the CPU knows of by itself: a debug trap, an NMI? HLT ends at once then. */
  readonly eventPending: boolean;
  /** DR0 to DR3, DR6 and DR7 of the guest. Setting one arms its breakpoints; reserved bits are the caller's business. */
  debugRegister(number: number): bigint;
  setDebugRegister(number: number, value: bigint): void;
  /** Can an external interrupt be delivered now (IF set, no shadow, nothing queued)? */
  readonly interruptible: boolean;
  /** Asks for an `interrupt-window` exit as soon as `interruptible`. */
  requestInterruptWindow(wanted: boolean): void;

  /** Replaces the controls: on a change of the guest's virtual mode. */
  setControls(controls: ExecutionControls): void;
  /** With `paging: shadow`: the tables to use from now on. Drops cached translations. */
  setShadow(tables: ShadowTables): void;
  /** Drops cached translations: of one page, or all. */
  flush(page?: bigint): void;
  /** Retranslates the instruction at `rip` so that it calls out (`via: callout`, this kind) before it is done. */
  callOutAt(rip: bigint, kind: ExitKind & ("trace" | "mmio")): void;

  /** Address line 20: while it is closed, bit 20 of every guest-physical address is clear. Open at first. */
  a20: boolean;
  /** The four page-directory pointers that MOV CR3 and the like have loaded; undefined outside of PAE paging. */
  readonly pagePointers: readonly bigint[] | undefined;
  /** Guest-physical address behind a linear one by the guest's own tables, without faults or side effects. */
  translate(linear: bigint): number | undefined;
  /** Bytes at RIP, at most 15, fewer where the next page is not mapped. */
  instructionBytes(): Uint8Array;
  /** 16, 32 or 64. */
  readonly bitness: 16 | 32 | 64;

  /**
   * What an INIT signal does to the CPU (SDM vol. 3, table 9-1): the state of a reset, but for the caches, the floating-point
   * and SSE registers, and MSRs. The local APIC is the board's to reset.
   */
  init(): void;

  /** With `hostTime`: the guest has slept for so many of the board's nanoseconds without its VMM doing so: its counter goes ahead. */
  skipTime?(nanoseconds: number): void;
  /** What the layer below the VMM counted for this machine, by its own names: coarse, and not a function of the guest alone. */
  statistics?(): Readonly<Record<string, number>>;

  /** Gives its memory back; the Vcpu is not used again. */
  dispose(): void;
}

/**
 * The CPUs of one machine where each has a thread of its own, and they run at the same time. A CPU that has been entered is left
 * alone until it has come back: nothing else is asked of it, but `nmi` and to close A20.
 */
export interface SideBySide {
  readonly vcpus: readonly Vcpu[];
  /** Lets a CPU go on that has stopped, and does not wait for it. */
  enter(cpu: number): void;
  /** Takes a CPU from its guest, if it is there: it stops soon, as at the end of a budget. */
  kick(cpu: number): void;
  /** The CPU that has stopped first of those that nobody was told of; waits for at most so many nanoseconds. */
  next(nanoseconds: number): number | undefined;
  /** Why it has. To be asked right after `next` has named it. */
  stop(cpu: number): Stop;
  /** Takes all of them from their guest, and waits for it: they can be asked again, and disposed of. */
  halt(): void;
}

/** Makes virtual CPUs. */
export interface VcpuFactory {
  /** Its guests' time is the host's, as nobody counts their instructions. Absent: time is virtual, by retired instructions. */
  readonly hostTime?: true;
  /** With `hostTime`: ticks of the guests' time stamp counter in a nanosecond of the host's, as the board's time goes by it; absent: 1. */
  readonly hostRate?: () => number;
  /** Interrupt controllers of machines with ordinary guests are the engine's. */
  readonly ownControllers?: true;
  create(config: VcpuConfig): Vcpu;
  /** The CPUs of one machine, over one memory of the size that the first one states. Absent: a machine has no several that take turns. */
  createAll?(configs: readonly VcpuConfig[]): readonly Vcpu[];
  /** The same where they don't take turns, but run side by side. */
  createSideBySide?(configs: readonly VcpuConfig[]): SideBySide;
}

// The pv-ops: what a guest may ask of its platform, as in paravirt-ops and VMI. One table for whoever implements them
// (bare, xen, kvm), whoever binds them (`../build.ts`), and whoever explains them.
//
// The calling convention, on every platform: arguments and results in the registers named below; every other general
// register is preserved, flags are not; the stack pointer is 8-byte aligned and has 2 KiB to spare. At entry of a guest
// interrupts are masked. Handlers are called with interrupts masked, may change any general register, and end with RET.
//
// A trap frame is what RDX points to in a trap or system call handler; offsets in {@linkcode TRAP_FRAME}. A handler may
// change it: returning loads what it holds.

/** Groups as Linux's pv_ops has them, and `io`, which a driver would do there. */
export const PV_GROUPS = ["cpu", "irq", "mmu", "time", "io"] as const;
/** One of them. */
export type PvGroup = typeof PV_GROUPS[number];

/** One operation. Registers map to what they carry. */
export interface PvOperation {
  readonly group: PvGroup;
  readonly takes: Readonly<Record<string, string>>;
  /** By 64-bit register name: these change, the others do not. */
  readonly returns: Readonly<Record<string, string>>;
  /** Sentences, without the last full stop. */
  readonly doc: string;
}

const none = {};

// deno-fmt-ignore
const OPERATIONS = {
  shutdown: { group: "cpu", takes: { edi: "exit code; its low 8 bits count" }, returns: { rax: "undefined", rsi: "undefined", rdi: "undefined" },
    doc: "Ends the run. Does not return; the other registers are in the end state as they were" },
  cpuid: { group: "cpu", takes: { eax: "leaf", ecx: "subleaf" }, returns: { rax: "EAX", rbx: "EBX", rcx: "ECX", rdx: "EDX" },
    doc: "CPUID, by the way the platform wants it to be asked" },
  trap_set: { group: "cpu", takes: { edi: "vector: 0 to 31, or 0x50 to 0x80", rsi: "handler" }, returns: none,
    doc: "Sets the handler of an exception or of INT n, called with RDI = vector, RSI = error code (0 where there is none), RDX = trap frame, ECX = 1 if it came from user mode. INT n may be used in user mode for vectors 3, 4 and 0x50 to 0x80. Of a page fault in user mode, whether the page was there (error code, bit 0) depends on the platform" },
  syscall_set: { group: "cpu", takes: { rdi: "handler" }, returns: none,
    doc: "Sets the handler of SYSCALL from user mode, called with RDI = the user's RAX, RSI = the user's RDI, RDX = trap frame; the RAX it leaves is the user's result. RCX and R11 are lost to the user" },
  user_enter: { group: "cpu", takes: { rdi: "first instruction", rsi: "user stack pointer", rdx: "the user's RDI" }, returns: { rax: "code given to user_exit" },
    doc: "Runs code in user mode, with the other general registers zero and interrupts as they are now. Returns when a handler calls user_exit. Does not nest" },
  user_exit: { group: "cpu", takes: { edi: "code" }, returns: none,
    doc: "In a handler called from user mode: leaves user mode for good; user_enter returns. Does not return" },
  debug_set: { group: "cpu", takes: { edi: "debug register: 0 to 3, 6 or 7", rsi: "value" }, returns: none,
    doc: "Sets a debug register, if the platform allows the value" },
  debug_get: { group: "cpu", takes: { edi: "debug register: 0 to 3, 6 or 7" }, returns: { rax: "value" },
    doc: "The value of a debug register" },
  irq_mask: { group: "irq", takes: none, returns: none,
    doc: "Holds events back, as CLI does" },
  irq_unmask: { group: "irq", takes: none, returns: none,
    doc: "Lets events in, as STI does; those pending come before the next instruction but one" },
  irq_masked: { group: "irq", takes: none, returns: { rax: "1 if masked, else 0" },
    doc: "Tells whether events are held back" },
  wait: { group: "irq", takes: none, returns: none,
    doc: "Lets events in and idles until the handler of one has run, then restores the mask. To lose no event, mask before setting a timer that this waits for" },
  alloc_frame: { group: "mmu", takes: none, returns: { rax: "physical address, page-aligned; 0 when there is none left" },
    doc: "A frame of RAM that nobody uses, zero-filled and mapped at its own address" },
  map_page: { group: "mmu", takes: { rdi: "linear address", rsi: "frame" }, returns: { rax: "0, or 1 if refused" },
    doc: "Maps a page in the current address space, for the kernel, writable; whatever was mapped there before is not any more" },
  map_user: { group: "mmu", takes: { rdi: "linear address", rsi: "frame" }, returns: { rax: "0, or 1 if refused" },
    doc: "As map_page, and user mode may use it too. User mode can use no other pages" },
  protect_page: { group: "mmu", takes: { rdi: "linear address" }, returns: { rax: "0, or 1 if refused" },
    doc: "Makes a mapped page read-only, for the kernel too" },
  unmap_page: { group: "mmu", takes: { rdi: "linear address" }, returns: { rax: "0, or 1 if refused" },
    doc: "Unmaps a page; 1 if it was not mapped" },
  new_space: { group: "mmu", takes: none, returns: { rax: "top-level table" },
    doc: "A new address space that shares what the current one maps below 512 GiB, and has nothing else" },
  current_space: { group: "mmu", takes: none, returns: { rax: "top-level table" },
    doc: "The address space in use" },
  switch_space: { group: "mmu", takes: { rdi: "top-level table" }, returns: none,
    doc: "Uses another address space from now on" },
  tlb_flush: { group: "mmu", takes: none, returns: none,
    doc: "Drops cached translations" },
  fault_address: { group: "mmu", takes: none, returns: { rax: "linear address" },
    doc: "The address of the last page fault: CR2" },
  time_now: { group: "time", takes: none, returns: { rax: "nanoseconds since the machine was started" },
    doc: "The time, which never goes back" },
  timer_set: { group: "time", takes: { rdi: "when, in nanoseconds as time_now tells", rsi: "handler" }, returns: none,
    doc: "Calls the handler once, then or as soon after it as events are let in; at once if that is past. Replaces what was set" },
  timer_periodic: { group: "time", takes: { edi: "period in nanoseconds, 10000 to 50000000", rsi: "handler" }, returns: none,
    doc: "Calls the handler periodically. Replaces what was set" },
  timer_stop: { group: "time", takes: none, returns: none,
    doc: "Stops the timer" },
  console_write: { group: "io", takes: { rsi: "text", ecx: "length in bytes" }, returns: none,
    doc: "Writes to the console" },
  block_read: { group: "io", takes: { edi: "first sector", esi: "how many, 1 to 128", rdx: "buffer" }, returns: { rax: "0, or 1 for an error" },
    doc: "Reads sectors of the first disk" },
  block_write: { group: "io", takes: { edi: "first sector", esi: "how many, 1 to 128", rdx: "buffer" }, returns: { rax: "0, or 1 for an error" },
    doc: "Writes sectors of the first disk" },
} as const satisfies Record<string, PvOperation>;

/** The name of a pv-op. */
export type PvName = keyof typeof OPERATIONS;

/** The table, by name. */
export const PV_OPERATIONS: Readonly<Record<PvName, PvOperation>> = OPERATIONS;

/** Names in the order of the table. */
export const PV_NAMES: readonly PvName[] = Object.keys(OPERATIONS).filter(isPvName);

/** Is this the name of a pv-op? */
export function isPvName(name: string): name is PvName {
  return Object.hasOwn(OPERATIONS, name);
}

/**
 * A trap frame, as offsets in bytes from where RDX points. RIP comes first, so that `add qword [rdx], 2` skips a two-byte
 * instruction. Library sources have each as `FRAME_RIP` and so on, guests by `%include "lib/traps.inc"`. CS and SS hold the
 * platform's own selectors; the last two bits of CS are 3 from user mode and 0 from the kernel.
 */
export const TRAP_FRAME = {
  r15: -0x88,
  r14: -0x80,
  r13: -0x78,
  r12: -0x70,
  r11: -0x68,
  r10: -0x60,
  r9: -0x58,
  r8: -0x50,
  rdi: -0x48,
  rsi: -0x40,
  rbp: -0x38,
  rbx: -0x30,
  rdx: -0x28,
  rcx: -0x20,
  rax: -0x18,
  vector: -0x10,
  error: -0x08,
  rip: 0x00,
  cs: 0x08,
  rflags: 0x10,
  rsp: 0x18,
  ss: 0x20,
} as const;

/** Pv-ops that read the time stamp counter, on bare hardware and on KVM's platform. */
const COUNTER_OPERATIONS = ["time_now", "timer_set"];

/** Does a guest go by the time stamp counter? That it executes RDTSC is not seen. */
export function usesCounter(pvOps: readonly string[]): boolean {
  return pvOps.some((name) => COUNTER_OPERATIONS.includes(name));
}

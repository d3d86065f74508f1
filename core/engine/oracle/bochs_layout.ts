// Where the kernel of Bochs' trials (`bochs_kernel.ts`) has what it works with, and what trials and outcomes consist of.

/** Linear addresses. Tables and areas are put back before every trial, and are part of what is compared. */
export const KERNEL = {
  /** IVT, GDT, IDT, TSS, LDT; from 0x2400 on there is room for a trial's own tables. */
  tables: { start: 0, end: 0x4000 },
  gdt: 0x1000,
  gdtEnd: 0x1800,
  idt: 0x1800,
  tss: 0x2000,
  ldt: 0x2100,
  ldtEnd: 0x2200,
  free: 0x2400,
  realHandlers: 0x6000,
  cells: 0x7000,
  stack: 0x9000,
  /** Where trials have code, data and stacks: the ends of segments, and what is beyond them. */
  areas: [{ start: 0xf000, end: 0x12000 }, { start: 0x1f000, end: 0x21000 }],
  /** Of the first area so much is for code: breakpoints, to begin with; the rest holds random bytes. */
  codeBytes: 0x800,
  /** From 0 to here all memory is the kernel's, or breakpoints. */
  end: 0x24000,
  /** What tables and areas are put back from, one after the other; and the trials. */
  pristine: 0x100000,
  records: 0x140000,
} as const;

/** Selectors of the GDT that every trial starts with; from `free` on the slots are the trial's. */
export const KERNEL_SELECTOR = {
  code: 0x08,
  data: 0x10,
  realCode: 0x18,
  realData: 0x20,
  tss: 0x28,
  ldt: 0x30,
  userCode: 0x3b,
  userData: 0x43,
  free: 0x80,
} as const;

/** A trial ends by this interrupt, which any level may raise. */
export const END_VECTOR = 0x30;

/** How a trial is entered. */
export const ENTRY = {
  /** By IRET to level 3, or to virtual-8086 mode where its flags say so. */
  outward: 0,
  /** At level 0, by IRET; what IRET pops is on the trial's own stack. */
  inner: 1,
  /** In real mode, by a far jump. */
  real: 2,
} as const;

/** Dwords of a record, in order; patches follow: address, length, bytes up to the next dword; address 0 ends them. */
export const RECORD = [
  ...["next", "entry", "setup", "eflags", "eip", "cs", "ss", "esp", "ds", "es", "fs", "gs"],
  ...["eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"],
] as const;

/** What is printed of a trial, in order: hexadecimal dwords. */
export const OUTCOME = [
  ...["vector", "error", "eip", "cs", "eflags", "esp", "ss", "ds", "es", "fs", "gs"],
  ...["eax", "ecx", "edx", "ebx", "ebp", "esi", "edi"],
  ...["cr0", "cr2", "dr6", "tr", "ldtr", "tables", "area0", "area1"],
] as const;
/** Printed of a trial that shut the processor down. */
export const SHUTDOWN_LINE = "shutdown";

const CURRENT = KERNEL.cells, RUNNING = KERNEL.cells + 4;
/** The record under way, where code in any mode finds it. */
export const COPY = KERNEL.cells + 0x10;
export const RESULTS = KERNEL.cells + 0x100;
/** Address of a dword of the record under way. */
export const field = (name: typeof RECORD[number]) => COPY + 4 * RECORD.indexOf(name);
/** Address of a dword of its outcome. */
export const result = (name: typeof OUTCOME[number]) => RESULTS + 4 * OUTCOME.indexOf(name);
/** Cells of the kernel's data. */
export const CELL = { current: CURRENT, running: RUNNING } as const;

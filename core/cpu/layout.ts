// Where things are in the one WebAssembly memory that holds CPU state, TLBs and guest RAM. The translator emits these
// offsets, `CpuState` reads them; nobody else knows them.

/** General-purpose registers: 16 x 8 bytes, in encoding order. */
export const GPR = 0x000;
export const RIP = 0x080;
/**
 * Flags, lazily: the operation that last set the six status flags, its result and its operands. `lazy_flags.ts` tells
 * what they mean for each operation.
 */
export const CC_OP = 0x088; // i32
export const CC_AUX = 0x08c; // i32
export const CC_DST = 0x090; // i64
export const CC_SRC = 0x098; // i64
/** RFLAGS without the six status flags (those come from the lazy ones), bit 1 set. i64. */
export const FLAGS_REST = 0x0a0;
/** Instructions that may still be executed before run() must return. i64, signed. */
export const BUDGET = 0x0b0;
/** i32: set when a slow path could not complete: the region must leave at the start of the instruction. */
export const BAIL = 0x0b8;
/** Six segments and two system ones, in the order of SEGMENT_REGISTERS; 24 bytes each. */
export const SEGMENTS = 0x0c0;
export const SEGMENT_STRIDE = 24;
export const SEGMENT_BASE = 0; // i64
export const SEGMENT_LIMIT = 8; // i32
export const SEGMENT_SELECTOR = 12; // i32
export const SEGMENT_ATTRIBUTES = 16; // i32
/** i64 each. */
export const CR0 = 0x180;
export const CR2 = 0x188;
export const CR3 = 0x190;
export const CR4 = 0x198;
export const CR8 = 0x1a0;
export const EFER = 0x1a8;
export const GDTR_BASE = 0x1b0;
export const IDTR_BASE = 0x1b8;
/** i32 each. */
export const GDTR_LIMIT = 0x1c0;
export const IDTR_LIMIT = 0x1c4;
/** Debug registers DR0 to DR7: 8 x 8 bytes. */
export const DR = 0x1d0;
/** Indirect branches looked up by translated code, where that is counted. i64. */
export const LOOKUPS = 0x240;
/** Results of a slow division: quotient and remainder. i64 each. */
export const DIVISION = 0x248;
/** i32: control and status of the SSE instructions. */
export const MXCSR = 0x258;
/** What a SIMD instruction done in TypeScript works on: its first operand, where the result goes too, and its second. */
export const SIMD_A = 0x260;
export const SIMD_B = 0x270;
/** Status flags that it sets, as in RFLAGS. i64. */
export const SIMD_FLAGS = 0x280;
/** i32: place in the table of the region that ran last, when there was none for where it led. */
export const LAST_SLOT = 0x288;
/** PAUSEs done by translated code, where they are counted. i64. */
export const PAUSES = 0x290;
/** XMM registers: 16 x 16 bytes. */
export const XMM = 0x300;
/** x87 and MMX state, 160 bytes: see x87/registers.ts. MMX registers are the low halves of the physical registers. */
export const X87 = 0x400;
/** Memory operand of an x87 instruction, on its way in or out: up to 80 bits. */
export const X87_OPERAND = 0x4a0;

/** TLBs: direct-mapped by page number, 16 bytes an entry: tag (i64 page address, or TLB_EMPTY), addend (i64). */
export const TLB_ENTRIES = 1024;
export const READ_TLB = 0x1000;
export const WRITE_TLB = 0x5000;
/** Never equal to a page address. */
export const TLB_EMPTY = -1n;

/** Jump cache: direct-mapped by linear RIP, 16 bytes an entry: RIP (i64), table index (i32). */
export const JUMP_CACHE = 0x9000;
export const JUMP_CACHE_ENTRIES = 1024;

/** All of it that belongs to one CPU is below. */
export const STATE_END = JUMP_CACHE + 16 * JUMP_CACHE_ENTRIES;

/** Guest RAM begins here; guest-physical address 0. */
export const RAM = 0x10000;

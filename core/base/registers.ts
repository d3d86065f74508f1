// The registers that scenarios, traces, engines and monitors name, and their order.

/** General-purpose registers in encoding order (SDM vol. 2, table 2-2 and REX.B). */
export const GENERAL_REGISTERS = [
  "rax",
  "rcx",
  "rdx",
  "rbx",
  "rsp",
  "rbp",
  "rsi",
  "rdi",
  "r8",
  "r9",
  "r10",
  "r11",
  "r12",
  "r13",
  "r14",
  "r15",
] as const;
/** One of {@linkcode GENERAL_REGISTERS}, by its 64-bit name. */
export type GeneralRegister = typeof GENERAL_REGISTERS[number];

/** Control and instruction-pointer registers that are plain 64-bit values. */
export const SPECIAL_REGISTERS = [
  "rip",
  "rflags",
  "cr0",
  "cr2",
  "cr3",
  "cr4",
  "cr8",
  "efer",
] as const;
/** One of {@linkcode SPECIAL_REGISTERS}. */
export type SpecialRegister = typeof SPECIAL_REGISTERS[number];

/** A register that a scenario can name. */
export type RegisterName = GeneralRegister | SpecialRegister;

/** Segment registers in encoding order, then the system segments. */
export const SEGMENT_REGISTERS = ["es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"] as const;
/** One of {@linkcode SEGMENT_REGISTERS}. */
export type SegmentName = typeof SEGMENT_REGISTERS[number];

/** A segment register with its hidden part. */
export interface Segment {
  /** 16 bits. */
  readonly selector: number;
  /** 64 bits, unsigned. */
  readonly base: bigint;
  /** In bytes, already scaled by the granularity bit: 0 to 0xffffffff. */
  readonly limit: number;
  /**
   * Descriptor bits 40 to 55 shifted right by 40, as VMX access rights have them: type 0-3, S 4, DPL 5-6, P 7, AVL 12,
   * L 13, D/B 14, G 15 (SDM vol. 3, table 25-2).
   */
  readonly attributes: number;
}

/** GDTR or IDTR. */
export interface DescriptorTable {
  /** Linear address. */
  readonly base: bigint;
  /** Bytes less one: 0 to 0xffff. */
  readonly limit: number;
}

/** A complete register file. */
export interface Registers {
  /** Unsigned 64-bit values. */
  readonly general: Readonly<Record<GeneralRegister, bigint>>;
  /** Unsigned 64-bit values. */
  readonly special: Readonly<Record<SpecialRegister, bigint>>;
  /** With their hidden parts. */
  readonly segments: Readonly<Record<SegmentName, Segment>>;
  /** The global descriptor table. */
  readonly gdtr: DescriptorTable;
  /** The interrupt descriptor table. */
  readonly idtr: DescriptorTable;
}

/** RFLAGS bits (SDM vol. 1, 3.4.3). */
export const RFLAGS = {
  CF: 1 << 0,
  PF: 1 << 2,
  AF: 1 << 4,
  ZF: 1 << 6,
  SF: 1 << 7,
  TF: 1 << 8,
  IF: 1 << 9,
  DF: 1 << 10,
  OF: 1 << 11,
  IOPL: 3 << 12,
  NT: 1 << 14,
  RF: 1 << 16,
  VM: 1 << 17,
  AC: 1 << 18,
  VIF: 1 << 19,
  VIP: 1 << 20,
  ID: 1 << 21,
  FIXED: 1 << 1,
} as const;

/** CR0 bits (SDM vol. 3, 2.5). */
export const CR0 = {
  PE: 1 << 0,
  MP: 1 << 1,
  EM: 1 << 2,
  TS: 1 << 3,
  ET: 1 << 4,
  NE: 1 << 5,
  WP: 1 << 16,
  AM: 1 << 18,
  NW: 1 << 29,
  CD: 1 << 30,
  PG: 0x80000000,
} as const;

/** CR4 bits (SDM vol. 3, 2.5). */
export const CR4 = {
  VME: 1 << 0,
  PVI: 1 << 1,
  TSD: 1 << 2,
  DE: 1 << 3,
  PSE: 1 << 4,
  PAE: 1 << 5,
  MCE: 1 << 6,
  PGE: 1 << 7,
  PCE: 1 << 8,
  OSFXSR: 1 << 9,
  OSXMMEXCPT: 1 << 10,
  UMIP: 1 << 11,
  LA57: 1 << 12,
  FSGSBASE: 1 << 16,
  PCIDE: 1 << 17,
  OSXSAVE: 1 << 18,
  SMEP: 1 << 20,
  SMAP: 1 << 21,
} as const;

/** IA32_EFER bits (SDM vol. 3, 2.2.1). */
export const EFER = { SCE: 1 << 0, LME: 1 << 8, LMA: 1 << 10, NXE: 1 << 11 } as const;

/** Exception vectors (SDM vol. 3, table 6-1). */
export const VECTOR = {
  DE: 0,
  DB: 1,
  NMI: 2,
  BP: 3,
  OF: 4,
  BR: 5,
  UD: 6,
  NM: 7,
  DF: 8,
  TS: 10,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  AC: 17,
  MC: 18,
  XM: 19,
} as const;

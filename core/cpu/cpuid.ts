// What CPUID says of the embedded CPU: the truth, so that a guest finds what is there and nothing else. Monitors start
// from it and add their leaves.
import type { CpuidResult } from "./cpu.ts";
import { LINEAR_ADDRESS_BITS, PHYSICAL_ADDRESS_BITS } from "./walk.ts";

/** Twelve characters, as every vendor string. */
export const VENDOR = "TrivisorCPU!";
/** 48 characters at most. */
export const BRAND = "Trivisor virtual CPU";

/** What a platform adds to the CPU's own answers. */
export interface CpuidOptions {
  /** Is there a hypervisor to ask (leaf 1, ECX bit 31)? */
  readonly hypervisor?: boolean;
}

/** Bits of leaf 1, EDX (SDM vol. 2, table 3-11). */
const FEATURES = {
  DE: 1 << 2,
  PSE: 1 << 3,
  TSC: 1 << 4,
  MSR: 1 << 5,
  PAE: 1 << 6,
  MCE: 1 << 7,
  CX8: 1 << 8,
  APIC: 1 << 9,
  SEP: 1 << 11,
  MTRR: 1 << 12,
  PGE: 1 << 13,
  MCA: 1 << 14,
  CMOV: 1 << 15,
  PAT: 1 << 16,
  PSE36: 1 << 17,
  MMX: 1 << 23,
  FXSR: 1 << 24,
  SSE: 1 << 25,
  SSE2: 1 << 26,
} as const;
/** Bits of leaf 1, ECX (table 3-10). */
const FEATURES_ECX = {
  SSE3: 1 << 0,
  MONITOR: 1 << 3,
  SSSE3: 1 << 9,
  CX16: 1 << 13,
  SSE4_1: 1 << 19,
  SSE4_2: 1 << 20,
  POPCNT: 1 << 23,
} as const;
const HYPERVISOR = 1 << 31;
/** Bits of leaf 7, EBX and ECX. */
const EXTENDED = { FSGSBASE: 1 << 0, SMEP: 1 << 7, SMAP: 1 << 20 } as const;
const EXTENDED_ECX = { UMIP: 1 << 2 } as const;
/** Bits of leaf 0x80000001, EDX and ECX. */
const LONG = {
  SYSCALL: 1 << 11,
  NX: 1 << 20,
  PAGE1GB: 1 << 26,
  RDTSCP: 1 << 27,
  LM: 1 << 29,
} as const;
const LONG_ECX = { LAHF64: 1 << 0 } as const;

/** Family 6, model 0, stepping 1: enough for software that wants CMOV and SYSENTER. */
const SIGNATURE = 0x601;
/** MONITOR and MWAIT work on lines of this size. */
const MONITOR_LINE = 64;
const MAX_BASIC_LEAF = 0xd;
const MAX_EXTENDED_LEAF = 0x8000_0008;
const NOTHING: CpuidResult = [0, 0, 0, 0];

const any = (bits: Readonly<Record<string, number>>): number =>
  Object.values(bits).reduce((sum, bit) => sum | bit, 0) >>> 0;

/** Four characters as a little-endian doubleword; spaces and zeros beyond the end. */
function characters(text: string, at: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (text.charCodeAt(at + i) || 0);
  return value >>> 0;
}

/** EAX, EBX, ECX and EDX for a leaf. Leaves beyond the last one read as zeros, as on AMD's CPUs. */
export function cpuid(leaf: number, subleaf: number, options: CpuidOptions = {}): CpuidResult {
  switch (leaf >>> 0) {
    case 0:
      return [
        MAX_BASIC_LEAF,
        characters(VENDOR, 0),
        characters(VENDOR, 8),
        characters(VENDOR, 4),
      ];
    case 1: {
      // EBX: CLFLUSH line of 8 quadwords, one logical processor, APIC 0.
      const ecx = (any(FEATURES_ECX) | (options.hypervisor ? HYPERVISOR : 0)) >>> 0;
      return [SIGNATURE, 0x0001_0800, ecx, any(FEATURES)];
    }
    case 5:
      return [MONITOR_LINE, MONITOR_LINE, 0, 0];
    case 7:
      return subleaf === 0 ? [0, any(EXTENDED), any(EXTENDED_ECX), 0] : NOTHING;
    case 0x8000_0000:
      return [
        MAX_EXTENDED_LEAF,
        characters(VENDOR, 0),
        characters(VENDOR, 8),
        characters(VENDOR, 4),
      ];
    case 0x8000_0001:
      return [0, 0, any(LONG_ECX), any(LONG)];
    case 0x8000_0002:
    case 0x8000_0003:
    case 0x8000_0004: {
      const at = 16 * (leaf - 0x8000_0002);
      const [a, b, c, d] = [0, 4, 8, 12].map((i) => characters(BRAND, at + i));
      return [a ?? 0, b ?? 0, c ?? 0, d ?? 0];
    }
    case 0x8000_0007:
      // Invariant TSC: it runs on virtual time.
      return [0, 0, 0, 1 << 8];
    case 0x8000_0008:
      return [(LINEAR_ADDRESS_BITS << 8) | PHYSICAL_ADDRESS_BITS, 0, 0, 0];
    default:
      return NOTHING;
  }
}

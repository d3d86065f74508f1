// What CPUID says of the embedded CPU: the truth, so that a guest finds what is there and nothing else. Monitors start
// from it and add their leaves.
import { TSC_HZ } from "../base/clock.ts";
import { CR4 } from "../base/registers.ts";
import type { CpuidResult } from "./cpu.ts";
import { AREA_BYTES, COMPONENTS } from "./execute/simd/extended_state.ts";
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
  FPU: 1 << 0,
  VME: 1 << 1,
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
  CLFSH: 1 << 19,
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
  PCID: 1 << 17,
  SSE4_1: 1 << 19,
  SSE4_2: 1 << 20,
  MOVBE: 1 << 22,
  POPCNT: 1 << 23,
  XSAVE: 1 << 26,
  RDRAND: 1 << 30,
} as const;
const HYPERVISOR = 1 << 31;
/** Leaf 1, ECX: CR4.OSXSAVE is set. */
const OSXSAVE = 1 << 27;
/** Bits of leaf 7, EBX and ECX. */
const EXTENDED = {
  FSGSBASE: 1 << 0,
  BMI1: 1 << 3,
  SMEP: 1 << 7,
  BMI2: 1 << 8,
  INVPCID: 1 << 10,
  RDSEED: 1 << 18,
  ADX: 1 << 19,
  SMAP: 1 << 20,
  CLFLUSHOPT: 1 << 23,
  CLWB: 1 << 24,
} as const;
const EXTENDED_ECX = { UMIP: 1 << 2, LA57: 1 << 16, RDPID: 1 << 22 } as const;
/** Bits of leaf 0x80000001, EDX and ECX. */
const LONG = {
  SYSCALL: 1 << 11,
  NX: 1 << 20,
  PAGE1GB: 1 << 26,
  RDTSCP: 1 << 27,
  LM: 1 << 29,
} as const;
const LONG_ECX = { LAHF64: 1 << 0, LZCNT: 1 << 5, PREFETCHW: 1 << 8 } as const;
/** Bits of leaf 0x80000008, EBX. */
const CAPACITY = { WBNOINVD: 1 << 9 } as const;
/** Bits of leaf 0xD, subleaf 1, EAX. */
const XSAVE_FEATURES = { XSAVEOPT: 1 << 0, XSAVEC: 1 << 1, XGETBV1: 1 << 2 } as const;
/** Leaf 2, EAX: it is to be asked once. No descriptors, as no cache is seen: leaf 4 has none either. */
const NO_DESCRIPTORS = 1;

/** Family 6, model 0, stepping 1: enough for software that wants CMOV and SYSENTER. */
const SIGNATURE = 0x601;
/** MONITOR and MWAIT work on lines of this size. */
const MONITOR_LINE = 64;
const MAX_BASIC_LEAF = 0x16;
const MAX_EXTENDED_LEAF = 0x8000_0008;
const TSC_MHZ = TSC_HZ / 1e6;
const NOTHING: CpuidResult = [0, 0, 0, 0];

const any = (bits: Readonly<Record<string, number>>): number =>
  Object.values(bits).reduce((sum, bit) => sum | bit, 0) >>> 0;

/** Four characters as a little-endian doubleword; spaces and zeros beyond the end. */
function characters(text: string, at: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (text.charCodeAt(at + i) || 0);
  return value >>> 0;
}

/**
 * What of an answer hangs on the state of the CPU that asks: leaf 1 tells whether the system has turned XSAVE on (OSXSAVE).
 */
export function ofState([eax, ebx, ecx, edx]: CpuidResult, leaf: number, cr4: bigint): CpuidResult {
  const on = leaf === 1 && (cr4 & BigInt(CR4.OSXSAVE)) !== 0n && (ecx & FEATURES_ECX.XSAVE) !== 0;
  return on ? [eax, ebx, (ecx | OSXSAVE) >>> 0, edx] : [eax, ebx, ecx, edx];
}

/** An answer as VMMs give it that keep MONITOR and MWAIT to themselves: a guest that idles by them would never let others run. */
export function withoutMonitor(answer: CpuidResult, leaf: number): CpuidResult {
  const [eax, ebx, ecx, edx] = answer;
  switch (leaf >>> 0) {
    case 1:
      return [eax, ebx, (ecx & ~FEATURES_ECX.MONITOR) >>> 0, edx];
    case 5:
      return NOTHING;
    default:
      return answer;
  }
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
    case 2:
      return [NO_DESCRIPTORS, 0, 0, 0];
    case 5:
      return [MONITOR_LINE, MONITOR_LINE, 0, 0];
    case 7:
      return subleaf === 0 ? [0, any(EXTENDED), any(EXTENDED_ECX), 0] : NOTHING;
    // Leaf 4: no caches. Leaf 0xA: no performance counters.
    case 0xd:
      if (subleaf > 1) return NOTHING;
      // XCR0's upper half has nothing; whatever of it is enabled, the image is as long.
      return subleaf === 0
        ? [Number(COMPONENTS), AREA_BYTES, AREA_BYTES, 0]
        : [any(XSAVE_FEATURES), AREA_BYTES, 0, 0];
    case 0x15:
      // The crystal runs as fast as the time stamp counter: 1 to 1.
      return [1, 1, TSC_HZ, 0];
    case 0x16:
      return [TSC_MHZ, TSC_MHZ, TSC_MHZ, 0];
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
      return [(LINEAR_ADDRESS_BITS << 8) | PHYSICAL_ADDRESS_BITS, any(CAPACITY), 0, 0];
    default:
      return NOTHING;
  }
}

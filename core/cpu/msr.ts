// Model-specific registers that are the CPU's own. What else a platform has, its `Surroundings` answer for.
import { CR0, EFER, type SegmentName, VECTOR } from "../base/registers.ts";
import type { Cpu } from "./cpu.ts";
import { GuestFault } from "./fault.ts";
import { isCanonical, LINEAR_ADDRESS_BITS } from "./walk.ts";

/** Numbers (SDM vol. 4, table 2-2; AMD's from 0xc0000080 on). */
export const MSR = {
  TSC: 0x10,
  APIC_BASE: 0x1b,
  FEATURE_CONTROL: 0x3a,
  BIOS_SIGN_ID: 0x8b,
  MTRRCAP: 0xfe,
  SYSENTER_CS: 0x174,
  SYSENTER_ESP: 0x175,
  SYSENTER_EIP: 0x176,
  MCG_CAP: 0x179,
  MCG_STATUS: 0x17a,
  MISC_ENABLE: 0x1a0,
  MTRR_PHYSBASE0: 0x200,
  MTRR_PHYSMASK7: 0x20f,
  MTRR_FIX64K_00000: 0x250,
  MTRR_FIX16K_80000: 0x258,
  MTRR_FIX16K_A0000: 0x259,
  MTRR_FIX4K_C0000: 0x268,
  MTRR_FIX4K_F8000: 0x26f,
  PAT: 0x277,
  MTRR_DEF_TYPE: 0x2ff,
  EFER: 0xc000_0080,
  STAR: 0xc000_0081,
  LSTAR: 0xc000_0082,
  CSTAR: 0xc000_0083,
  SFMASK: 0xc000_0084,
  FS_BASE: 0xc000_0100,
  GS_BASE: 0xc000_0101,
  KERNEL_GS_BASE: 0xc000_0102,
  TSC_AUX: 0xc000_0103,
} as const;

/** What a register of the CPU's own takes, and holds after reset. */
interface Plain {
  readonly reset: bigint;
  /** Bits that may be written; any other one set is #GP(0). None: read-only, every write is #GP(0). */
  readonly writable: bigint;
  /** Holds a linear address. */
  readonly address?: boolean;
  /** Which of its values have a meaning; the rest is #GP(0). Absent: all. */
  readonly accepts?: (value: bigint) => boolean;
}

const ALL = 0xffff_ffff_ffff_ffffn;
const word = (writable: bigint, reset = 0n): Plain => ({ reset, writable });
const ADDRESS: Plain = { reset: 0n, writable: ALL, address: true };

/** APIC at its usual place, globally enabled, bootstrap processor (SDM vol. 3, 11.4.4). */
const APIC_BASE_RESET = 0xfee0_0900n;
/** Write-back, write-through, uncached- and uncached, twice (SDM vol. 3, table 12-12). */
const PAT_RESET = 0x0007_0406_0007_0406n;
/** Of each of the eight memory types, 2 and 3 are reserved (SDM vol. 3, table 12-10): bit 1 set without bit 2. */
const isPat = (value: bigint) => (value & ~(value >> 1n) & 0x0202_0202_0202_0202n) === 0n;
/** Fast strings. */
const MISC_ENABLE_RESET = 1n;
/** Eight variable ranges, fixed ranges, write combining. */
const MTRRCAP_VALUE = 0x508n;

const PLAIN = new Map<number, Plain>([
  [MSR.APIC_BASE, word(0xff_ffff_f900n, APIC_BASE_RESET)],
  [MSR.BIOS_SIGN_ID, word(ALL)],
  [MSR.SYSENTER_CS, word(0xffff_ffffn)],
  [MSR.SYSENTER_ESP, ADDRESS],
  [MSR.SYSENTER_EIP, ADDRESS],
  [MSR.MCG_CAP, word(0n)],
  [MSR.MCG_STATUS, word(0n)],
  [MSR.MISC_ENABLE, word(ALL, MISC_ENABLE_RESET)],
  [MSR.MTRRCAP, word(0n, MTRRCAP_VALUE)],
  [MSR.PAT, { ...word(0x0707_0707_0707_0707n, PAT_RESET), accepts: isPat }],
  [MSR.MTRR_DEF_TYPE, word(0xcffn)],
  [MSR.MTRR_FIX64K_00000, word(ALL)],
  [MSR.MTRR_FIX16K_80000, word(ALL)],
  [MSR.MTRR_FIX16K_A0000, word(ALL)],
  [MSR.STAR, word(ALL)],
  [MSR.LSTAR, ADDRESS],
  [MSR.CSTAR, ADDRESS],
  [MSR.SFMASK, word(0xffff_ffffn)],
  [MSR.KERNEL_GS_BASE, ADDRESS],
  [MSR.TSC_AUX, word(0xffff_ffffn)],
]);
for (let n = MSR.MTRR_PHYSBASE0; n <= MSR.MTRR_PHYSMASK7; n++) PLAIN.set(n, word(ALL));
for (let n = MSR.MTRR_FIX4K_C0000; n <= MSR.MTRR_FIX4K_F8000; n++) PLAIN.set(n, word(ALL));

/** FS and GS bases are the hidden part of the segment registers. */
const BASES = new Map<number, SegmentName>([[MSR.FS_BASE, "fs"], [MSR.GS_BASE, "gs"]]);

const refuse = () => new GuestFault(VECTOR.GP, 0);

/** The time stamp counter, with what the guest wrote into it taken as an offset. */
export function readTimestamp(cpu: Cpu): bigint {
  const offset = cpu.state.msrs.get(MSR.TSC) ?? 0n;
  return BigInt.asUintN(64, cpu.surroundings.timestamp() + offset);
}

/** Value of an MSR; #GP(0) for one that nobody has. */
export function readMsr(cpu: Cpu, msr: number): bigint {
  const { state } = cpu;
  // The platform comes first: with a local APIC, its base is not only a number that is kept.
  const platform = cpu.surroundings.readMsr?.(msr);
  if (platform !== undefined) return platform;
  if (msr === MSR.TSC) return readTimestamp(cpu);
  if (msr === MSR.EFER) return state.control("efer");
  const base = BASES.get(msr);
  if (base) return state.segment(base).base;
  const plain = PLAIN.get(msr);
  if (!plain) throw refuse();
  return state.msrs.get(msr) ?? plain.reset;
}

/** Writes an MSR; #GP(0) for one that nobody has, and for a value that it does not take. */
export function writeMsr(cpu: Cpu, msr: number, value: bigint): void {
  const { state } = cpu;
  const taken = cpu.surroundings.writeMsr?.(msr, value);
  if (taken === false) throw refuse();
  if (taken) return;
  if (msr === MSR.TSC) {
    state.msrs.set(msr, BigInt.asUintN(64, value - cpu.surroundings.timestamp()));
    return;
  }
  if (msr === MSR.EFER) return writeEfer(cpu, value);
  const base = BASES.get(msr);
  if (base) {
    if (!isCanonical(value, LINEAR_ADDRESS_BITS)) throw refuse();
    return state.setSegment(base, { ...state.segment(base), base: value });
  }
  const plain = PLAIN.get(msr);
  if (!plain) throw refuse();
  if (plain.writable === 0n || value & ~plain.writable) throw refuse();
  if (plain.address && !isCanonical(value, LINEAR_ADDRESS_BITS)) throw refuse();
  if (plain.accepts && !plain.accepts(value)) throw refuse();
  state.msrs.set(msr, value);
}

const EFER_BITS = BigInt(EFER.SCE | EFER.LME | EFER.LMA | EFER.NXE);

/** LMA is the CPU's to write: it follows CR0.PG. */
function writeEfer(cpu: Cpu, value: bigint): void {
  const { state } = cpu;
  if (value & ~EFER_BITS) throw refuse();
  const old = state.control("efer");
  const paging = (state.control("cr0") & BigInt(CR0.PG)) !== 0n;
  if (paging && (value ^ old) & BigInt(EFER.LME)) throw refuse();
  const lma = BigInt(EFER.LMA);
  state.setControl("efer", (value & ~lma) | (old & lma));
  if ((value ^ old) & BigInt(EFER.NXE)) {
    cpu.surroundings.flushTranslations({ of: "everything" });
  }
}

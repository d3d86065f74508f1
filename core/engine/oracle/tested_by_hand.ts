// What no oracle can judge, and the tests that tell its results by hand: numbers that differ from machine to machine, and what
// neither this process, nor QEMU 7.2, nor the trials on Bochs can run. A test holds the list true.
import { Code } from "iced-x86";

export interface HandTested {
  readonly codes: readonly Code[];
  readonly why: string;
  /** A file in `core/`, and what the name of a test in it begins with. */
  readonly file: string;
  readonly test: string;
}

const DIFFERS = "differs from machine to machine";

export const TESTED_BY_HAND: readonly HandTested[] = [
  {
    codes: [
      ...[Code.Rdrand_r16, Code.Rdrand_r32, Code.Rdrand_r64],
      ...[Code.Rdseed_r16, Code.Rdseed_r32, Code.Rdseed_r64],
    ],
    why: DIFFERS,
    file: "cpu/execute/extended_state_test.ts",
    test: "RDRAND and RDSEED give numbers of every size",
  },
  {
    codes: [Code.Rdpid_r32, Code.Rdpid_r64],
    why: DIFFERS,
    file: "cpu/execute/extended_state_test.ts",
    test: "RDPID reads what WRMSR has put into TSC_AUX",
  },
  {
    codes: [Code.Rdtscp],
    why: DIFFERS,
    file: "cpu/execute/system_test.ts",
    test: "RDTSC reads virtual time",
  },
  {
    codes: [Code.Rdpmc],
    why: "there are no counters; QEMU raises #UD",
    file: "cpu/execute/extended_state_test.ts",
    test: "RDPMC finds no counter",
  },
  {
    codes: [Code.Xsetbv],
    why: "the system's; QEMU's CPU here has no XSAVE",
    file: "cpu/execute/extended_state_test.ts",
    test: "XSETBV takes x87 with or without SSE",
  },
  {
    codes: [Code.Monitorw, Code.Monitord, Code.Monitorq, Code.Mwait],
    why: "sleep",
    file: "vmm/waiting_test.ts",
    test: "native shows MONITOR and MWAIT",
  },
  {
    codes: [Code.Invpcid_r32_m128, Code.Invpcid_r64_m128],
    why: "QEMU 7.2 has none",
    file: "cpu/execute/control_test.ts",
    test: "INVPCID drops what its type says",
  },
  {
    codes: [Code.Lfs_r64_m1664, Code.Lgs_r64_m1664],
    why: "AMD's processors and QEMU have no 64-bit offset",
    file: "engine/embedded/rare_test.ts",
    test: "LFS and LGS with REX.W load 64 bits and a selector",
  },
  {
    codes: [
      Code.Reservednop_rm16_r16_0F0D,
      Code.Reservednop_rm32_r32_0F0D,
      Code.Reservednop_rm64_r64_0F0D,
    ],
    why: "AMD's processors raise #UD for a register",
    file: "engine/embedded/rare_test.ts",
    test: "0F 0D with a register does nothing",
  },
];

/** The codes of the list. */
export const handCodes = (): ReadonlySet<number> =>
  new Set<number>(TESTED_BY_HAND.flatMap(({ codes }) => codes));

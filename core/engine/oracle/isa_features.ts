// What stands behind iced's names of processor features: the CPUID bit that announces each (SDM vol. 2, CPUID; AMD64 manual
// vol. 3, appendix E), or that every processor has it. Features that are not here have no bit that could be set.
import { type Code, CpuidFeature as F, Instruction } from "iced-x86";
import type { CpuidResult } from "../../cpu/cpu.ts";

/** Every x86-64 processor has it, or CPUID leaf 1 would be no help: 8086 to 486, and what came before there were bits. */
type Source =
  | "always"
  | readonly [leaf: number, subleaf: number, register: 0 | 1 | 2 | 3, bit: number];

const EAX = 0, EBX = 1, ECX = 2, EDX = 3;
const LEAF_7 = 7, EXTENDED = 0x8000_0001;

export const FEATURE_SOURCES: ReadonlyMap<F, Source> = new Map<F, Source>([
  ...[F.INTEL8086, F.INTEL186, F.INTEL286, F.INTEL386, F.INTEL486, F.X64].map(
    (feature): [F, Source] => [feature, "always"],
  ),
  // Hints and system instructions that have no bit of their own: PAUSE is a NOP elsewhere, RDPMC came with the Pentium Pro.
  ...[F.PAUSE, F.MULTIBYTENOP, F.CPUID, F.RDPMC].map((feature): [F, Source] => [feature, "always"]),
  ...[F.FPU, F.FPU287, F.FPU387].map((feature): [F, Source] => [feature, [1, 0, EDX, 0]]),
  [F.TSC, [1, 0, EDX, 4]],
  [F.MSR, [1, 0, EDX, 5]],
  [F.CX8, [1, 0, EDX, 8]],
  [F.SEP, [1, 0, EDX, 11]],
  [F.CMOV, [1, 0, EDX, 15]],
  [F.CLFSH, [1, 0, EDX, 19]],
  [F.MMX, [1, 0, EDX, 23]],
  [F.FXSR, [1, 0, EDX, 24]],
  [F.SSE, [1, 0, EDX, 25]],
  [F.SSE2, [1, 0, EDX, 26]],
  [F.SSE3, [1, 0, ECX, 0]],
  [F.PCLMULQDQ, [1, 0, ECX, 1]],
  [F.MONITOR, [1, 0, ECX, 3]],
  [F.VMX, [1, 0, ECX, 5]],
  [F.SMX, [1, 0, ECX, 6]],
  [F.SSSE3, [1, 0, ECX, 9]],
  [F.FMA, [1, 0, ECX, 12]],
  [F.CMPXCHG16B, [1, 0, ECX, 13]],
  [F.SSE4_1, [1, 0, ECX, 19]],
  [F.SSE4_2, [1, 0, ECX, 20]],
  [F.MOVBE, [1, 0, ECX, 22]],
  [F.POPCNT, [1, 0, ECX, 23]],
  [F.AES, [1, 0, ECX, 25]],
  [F.XSAVE, [1, 0, ECX, 26]],
  [F.AVX, [1, 0, ECX, 28]],
  [F.F16C, [1, 0, ECX, 29]],
  [F.RDRAND, [1, 0, ECX, 30]],
  [F.FSGSBASE, [LEAF_7, 0, EBX, 0]],
  [F.SGX1, [LEAF_7, 0, EBX, 2]],
  [F.BMI1, [LEAF_7, 0, EBX, 3]],
  [F.HLE_or_RTM, [LEAF_7, 0, EBX, 4]],
  [F.AVX2, [LEAF_7, 0, EBX, 5]],
  [F.BMI2, [LEAF_7, 0, EBX, 8]],
  [F.INVPCID, [LEAF_7, 0, EBX, 10]],
  [F.RTM, [LEAF_7, 0, EBX, 11]],
  [F.MPX, [LEAF_7, 0, EBX, 14]],
  [F.AVX512F, [LEAF_7, 0, EBX, 16]],
  [F.AVX512DQ, [LEAF_7, 0, EBX, 17]],
  [F.RDSEED, [LEAF_7, 0, EBX, 18]],
  [F.ADX, [LEAF_7, 0, EBX, 19]],
  [F.SMAP, [LEAF_7, 0, EBX, 20]],
  [F.AVX512_IFMA, [LEAF_7, 0, EBX, 21]],
  [F.PCOMMIT, [LEAF_7, 0, EBX, 22]],
  [F.CLFLUSHOPT, [LEAF_7, 0, EBX, 23]],
  [F.CLWB, [LEAF_7, 0, EBX, 24]],
  [F.AVX512PF, [LEAF_7, 0, EBX, 26]],
  [F.AVX512ER, [LEAF_7, 0, EBX, 27]],
  [F.AVX512CD, [LEAF_7, 0, EBX, 28]],
  [F.SHA, [LEAF_7, 0, EBX, 29]],
  [F.AVX512BW, [LEAF_7, 0, EBX, 30]],
  [F.AVX512VL, [LEAF_7, 0, EBX, 31]],
  [F.PREFETCHWT1, [LEAF_7, 0, ECX, 0]],
  [F.AVX512_VBMI, [LEAF_7, 0, ECX, 1]],
  [F.PKU, [LEAF_7, 0, ECX, 3]],
  [F.WAITPKG, [LEAF_7, 0, ECX, 5]],
  [F.AVX512_VBMI2, [LEAF_7, 0, ECX, 6]],
  [F.CET_SS, [LEAF_7, 0, ECX, 7]],
  [F.GFNI, [LEAF_7, 0, ECX, 8]],
  [F.VAES, [LEAF_7, 0, ECX, 9]],
  [F.VPCLMULQDQ, [LEAF_7, 0, ECX, 10]],
  [F.AVX512_VNNI, [LEAF_7, 0, ECX, 11]],
  [F.AVX512_BITALG, [LEAF_7, 0, ECX, 12]],
  [F.AVX512_VPOPCNTDQ, [LEAF_7, 0, ECX, 14]],
  [F.RDPID, [LEAF_7, 0, ECX, 22]],
  [F.KL, [LEAF_7, 0, ECX, 23]],
  [F.CLDEMOTE, [LEAF_7, 0, ECX, 25]],
  [F.MOVDIRI, [LEAF_7, 0, ECX, 27]],
  [F.MOVDIR64B, [LEAF_7, 0, ECX, 28]],
  [F.ENQCMD, [LEAF_7, 0, ECX, 29]],
  [F.AVX512_4VNNIW, [LEAF_7, 0, EDX, 2]],
  [F.AVX512_4FMAPS, [LEAF_7, 0, EDX, 3]],
  [F.UINTR, [LEAF_7, 0, EDX, 5]],
  [F.AVX512_VP2INTERSECT, [LEAF_7, 0, EDX, 8]],
  [F.SERIALIZE, [LEAF_7, 0, EDX, 14]],
  [F.TSXLDTRK, [LEAF_7, 0, EDX, 16]],
  [F.PCONFIG, [LEAF_7, 0, EDX, 18]],
  [F.CET_IBT, [LEAF_7, 0, EDX, 20]],
  [F.AMX_BF16, [LEAF_7, 0, EDX, 22]],
  [F.AVX512_FP16, [LEAF_7, 0, EDX, 23]],
  [F.AMX_TILE, [LEAF_7, 0, EDX, 24]],
  [F.AMX_INT8, [LEAF_7, 0, EDX, 25]],
  [F.SHA512, [LEAF_7, 1, EAX, 0]],
  [F.SM3, [LEAF_7, 1, EAX, 1]],
  [F.SM4, [LEAF_7, 1, EAX, 2]],
  [F.RAO_INT, [LEAF_7, 1, EAX, 3]],
  [F.AVX_VNNI, [LEAF_7, 1, EAX, 4]],
  [F.AVX512_BF16, [LEAF_7, 1, EAX, 5]],
  [F.CMPCCXADD, [LEAF_7, 1, EAX, 7]],
  [F.FRED, [LEAF_7, 1, EAX, 17]],
  [F.LKGS, [LEAF_7, 1, EAX, 18]],
  [F.WRMSRNS, [LEAF_7, 1, EAX, 19]],
  [F.AMX_FP16, [LEAF_7, 1, EAX, 21]],
  [F.HRESET, [LEAF_7, 1, EAX, 22]],
  [F.AVX_IFMA, [LEAF_7, 1, EAX, 23]],
  [F.MSRLIST, [LEAF_7, 1, EAX, 27]],
  [F.AVX_VNNI_INT8, [LEAF_7, 1, EDX, 4]],
  [F.AVX_NE_CONVERT, [LEAF_7, 1, EDX, 5]],
  [F.AMX_COMPLEX, [LEAF_7, 1, EDX, 8]],
  [F.AVX_VNNI_INT16, [LEAF_7, 1, EDX, 10]],
  [F.PREFETCHITI, [LEAF_7, 1, EDX, 14]],
  [F.XSAVEOPT, [0xd, 1, EAX, 0]],
  [F.XSAVEC, [0xd, 1, EAX, 1]],
  [F.XSAVES, [0xd, 1, EAX, 3]],
  [F.PTWRITE, [0x14, 0, EBX, 4]],
  [F.SVM, [EXTENDED, 0, ECX, 2]],
  [F.SKINIT_or_SVM, [EXTENDED, 0, ECX, 2]],
  [F.LZCNT, [EXTENDED, 0, ECX, 5]],
  [F.SSE4A, [EXTENDED, 0, ECX, 6]],
  [F.PREFETCHW, [EXTENDED, 0, ECX, 8]],
  [F.XOP, [EXTENDED, 0, ECX, 11]],
  [F.LWP, [EXTENDED, 0, ECX, 15]],
  [F.FMA4, [EXTENDED, 0, ECX, 16]],
  [F.TBM, [EXTENDED, 0, ECX, 21]],
  [F.MONITORX, [EXTENDED, 0, ECX, 29]],
  [F.SYSCALL, [EXTENDED, 0, EDX, 11]],
  [F.RDTSCP, [EXTENDED, 0, EDX, 27]],
  [F.D3NOWEXT, [EXTENDED, 0, EDX, 30]],
  [F.D3NOW, [EXTENDED, 0, EDX, 31]],
  [F.CLZERO, [0x8000_0008, 0, EBX, 0]],
  [F.INVLPGB, [0x8000_0008, 0, EBX, 3]],
  [F.RDPRU, [0x8000_0008, 0, EBX, 4]],
  [F.MCOMMIT, [0x8000_0008, 0, EBX, 8]],
  [F.WBNOINVD, [0x8000_0008, 0, EBX, 9]],
  [F.SEV_ES, [0x8000_001f, 0, EAX, 3]],
  [F.SEV_SNP, [0x8000_001f, 0, EAX, 4]],
]);

/** Is a feature announced? */
export function isAnnounced(
  feature: F,
  cpuid: (leaf: number, subleaf: number) => CpuidResult,
): boolean {
  const source = FEATURE_SOURCES.get(feature);
  if (source === undefined) return false;
  if (source === "always") return true;
  const [leaf, subleaf, register, bit] = source;
  const last = cpuid(leaf >= 0x8000_0000 ? 0x8000_0000 : 0, 0)[0] >>> 0;
  return leaf <= last && (cpuid(leaf, subleaf)[register] >>> bit & 1) !== 0;
}

/** The features that a code needs, all of them. */
export function featuresOf(code: Code): F[] {
  const insn = new Instruction();
  insn.code = code;
  const features = [...insn.cpuidFeatures()];
  insn.free();
  return features;
}

/** Does CPUID promise this code? */
export function isPromised(
  code: Code,
  cpuid: (leaf: number, subleaf: number) => CpuidResult,
): boolean {
  return featuresOf(code).every((feature) => isAnnounced(feature, cpuid));
}

// Which forms of which instructions are tried on the host's CPU, one by one: every code that iced lists for what CPUID
// announces, unless a rule here says why a process can't try it. Test code.
import { Code, CodeExt, CpuidFeature, EncodingKind, type Instruction, OpKind } from "iced-x86";
import { cpuid } from "../../cpu/cpuid.ts";
import { decode, encode, isSame, nameOf, withIdlePrefix } from "./encodings.ts";
import { existsIn, memoryForms } from "./operand_kinds.ts";
import { PLACE } from "./host_stub.ts";
import { featuresOf, isPromised } from "./isa_features.ts";
import type { Values } from "./values.ts";

/** Where memory operands are, from the start of the scratch memory. */
export const OPERANDS = 192;
/** Bytes from an instruction's start to where its branches go: no instruction is longer. */
const TAKEN = 48;

export interface Form {
  readonly code: Code;
  readonly bits: 32 | 64;
  readonly bytes: Uint8Array;
  readonly insn: Instruction;
  readonly kind: FormKind;
  readonly at: number;
  readonly taken: number;
}

/** General registers alone; or XMM, MMX and MXCSR too. */
export type FormKind = "integer" | "vector";

const VECTOR_FEATURES: ReadonlySet<CpuidFeature> = new Set<CpuidFeature>([
  ...[CpuidFeature.MMX, CpuidFeature.SSE, CpuidFeature.SSE2, CpuidFeature.SSE3],
  ...[CpuidFeature.SSSE3, CpuidFeature.SSE4_1, CpuidFeature.SSE4_2],
]);
const X87_FEATURES: ReadonlySet<CpuidFeature> = new Set<CpuidFeature>([
  ...[CpuidFeature.FPU, CpuidFeature.FPU287, CpuidFeature.FPU387],
]);

/** Why a process can't try a code, by name. The first rule that fits counts. */
const NOT_HERE: readonly (readonly [names: RegExp, why: string])[] = [
  [/^(Cpuid|Rdtscp?|Rdpmc|Rdpid|Rdrand|Rdseed|Xgetbv)/, "answers what only this machine knows"],
  [/^(Sgdt|Sidt|Sldt|Str_|Smsw|Lar|Lsl|Verr|Verw)/, "shows the system's own tables"],
  [/^(Syscall|Sysenter|Sysret|Sysexit|Int_imm8|Int1|Int3|Into|Iret)/, "enters the kernel"],
  [/Sreg|_(ES|CS|SS|DS|FS|GS)$|^Pop[dwq]_[ESDFG]S|^Push[dwq]_[CESDFG]S/, "names selectors"],
  [/^L[defgs]s_/, "loads selectors"],
  [/^(Jmp|Call)_(ptr|m16)|^Retf/, "goes to another code segment"],
  [/^(Rd|Wr)[fg]sbase/, "moves what this process's own data is found by"],
  [/^(Xsave|Xrstor|Fxsave|Fxrstor|Ldmxcsr|Stmxcsr|Emms)/, "state in memory: tried by hand"],
  [/^Wait/, "x87: tried apart"],
  [
    /^Reservednop.*0F0D/,
    "PREFETCH of a register: #UD on AMD's processors, a reserved NOP on Intel's",
  ],
  [/^(Monitor|Mwait)/, "privileged, though iced does not say so"],
  [
    /^(Jmp|Call)_r(m|el)16|^Retnw|^J\w+_rel(8_)?16|^Loop\w*_rel8_16/,
    "leaves for the lowest 64 KiB",
  ],
];

/** Why this code is not tried here; undefined: it is. */
export function whyNot(code: Code): string | undefined {
  const op = CodeExt.opCode(code);
  try {
    if (op.isPrivileged || op.mustBeCpl0) return "privileged";
    if (op.isInputOutput) return "input and output";
  } finally {
    op.free();
  }
  if (featuresOf(code).some((feature) => X87_FEATURES.has(feature))) return "x87: tried apart";
  const name = nameOf(code);
  return NOT_HERE.find(([names]) => names.test(name))?.[1];
}

/** Every code that CPUID announces. */
export function announcedCodes(): Code[] {
  return Object.values(Code).filter((code): code is Code => typeof code === "number")
    .filter(isInstruction)
    .filter((code) => isPromised(code, cpuid));
}

/** UD0 has a ModRM byte; AMD's has none. */
const NO_CODE = new Set<number>([Code.INVALID, Code.Ud0, Code.Zero_bytes]);

/** iced's list also has directives, and what other vendors' or older processors took the same bytes for. */
export function isInstruction(code: Code): boolean {
  const op = CodeExt.opCode(code);
  const is = op.isInstruction && !NO_CODE.has(code) && op.decoderOption === 0;
  op.free();
  return is;
}

export const kindOf = (code: Code): FormKind =>
  featuresOf(code).some((feature) => VECTOR_FEATURES.has(feature)) &&
    !/^(Crc32|Popcnt|Movnti|Prefetch|.fence|Pause)/.test(nameOf(code))
    ? "vector"
    : "integer";

/** The codes that are tried in code of this size. Vector instructions are the same in 32-bit code. */
export function triedCodes(bits: 32 | 64): Code[] {
  return announcedCodes().filter((code) =>
    whyNot(code) === undefined && existsIn(code, bits) &&
    (bits === 64 || kindOf(code) === "integer")
  );
}

/** Encodings of a code: as many with an operand in memory as without. To be freed. */
export function formsOf(
  code: Code,
  bits: 32 | 64,
  variants: number,
  at: (number: number) => number,
  random: Values,
): Form[] {
  const has = memoryForms(code);
  const found: Form[] = [];
  for (let i = 0; i < variants; i++) {
    const start = at(found.length);
    const memory = has.memory && (!has.register || i % 2 === 0);
    const wanted = {
      bits,
      memory,
      at: start,
      target: start + TAKEN,
      absolute: PLACE.scratch + OPERANDS,
    };
    const plain = encode(code, wanted, random);
    if (!plain) continue;
    const varied = withRepeat(
      code,
      random.oneIn(3) ? withIdlePrefix(plain, code, wanted, random) : plain,
      random,
    );
    const insn = decode(varied, bits, start);
    // An encoding that means another code to this CPU (a prefix that is ignored in 64-bit code, say) is that one's.
    if (!isSame(insn.code, code) || insn.length !== varied.length || !isSafe(insn)) {
      insn.free();
      continue;
    }
    found.push({
      code,
      bits,
      bytes: varied,
      insn,
      kind: kindOf(code),
      at: start,
      taken: start + TAKEN,
    });
  }
  return found;
}

/** String instructions are tried with every repeat prefix. */
function withRepeat(code: Code, bytes: Uint8Array, random: Values): Uint8Array {
  const op = CodeExt.opCode(code);
  const prefixes = [
    ...(op.canUseRepPrefix && /^(Movs|Stos|Lods|Cmps|Scas)[bwdq]_/.test(nameOf(code))
      ? [0xf3]
      : []),
    ...(op.canUseRepnePrefix && /^(Movs|Stos|Lods|Cmps|Scas)[bwdq]_/.test(nameOf(code))
      ? [0xf2]
      : []),
    ...(op.canUseLockPrefix ? [0xf0] : []),
  ];
  op.free();
  if (prefixes.length === 0 || random.oneIn(2)) return bytes;
  return Uint8Array.from([random.pick(prefixes), ...bytes]);
}

/** A segment prefix of FS or GS would reach this process's own data. */
function isSafe(insn: Instruction): boolean {
  return insn.encoding !== EncodingKind.EVEX && insn.opKind(0) !== OpKind.FarBranch16;
}

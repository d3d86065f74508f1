// Writes mnemonics.gen.ts from iced's opcode tables: `deno run -A core/guest/asm/isa/generate_mnemonics.ts`. To be run again
// only when iced-x86 changes version.
import {
  Code,
  CodeExt,
  EncodingKind,
  MandatoryPrefix,
  MemorySize,
  MemorySizeExt,
  Mnemonic,
  type OpCodeInfo,
  OpCodeOperandKind,
  OpCodeTableKind,
} from "iced-x86";
import { deriveForms, type RawForm } from "./derived_forms.ts";

const IMMEDIATE_BYTES: Readonly<Record<string, number>> = {
  imm8: 1,
  imm8sex16: 1,
  imm8sex32: 1,
  imm8sex64: 1,
  imm16: 2,
  imm32: 4,
  imm32sex64: 4,
  imm64: 8,
  br16_1: 1,
  br32_1: 1,
  br64_1: 1,
  br16_2: 2,
  br32_4: 4,
  br64_4: 4,
  xbegin_2: 2,
  xbegin_4: 4,
};
const FAR_MEMORY: ReadonlyMap<MemorySize, number> = new Map([
  [MemorySize.SegPtr16, 2],
  [MemorySize.SegPtr32, 4],
  [MemorySize.SegPtr64, 8],
]);

/**
 * Left out: reserved encodings; what only the 286, 386, 486 steppings, Cyrix, Centaur or Knights Corner had; near branches
 * that Intel and AMD disagree about; instructions whose operands NASM and iced count differently (enqcmd, movdir64b,
 * xbegin, bndldx). None has a place in a guest.
 */
const LEFT_OUT = new RegExp(
  "^(?:" + [
    "Reservednop|VEX_KNC|Bswap_r16|Undoc|Getsecq|Zero_bytes|Popw_CS|Cmpxchg486|Loadall|Storeall|Altinst",
    "Fn?setpm|Frstpm|Fstpnce|Fn?stdw|Fn?stsg|Fn?eni|Fn?disi|Frichop|Frinear|Frint2|Ftstp|Umov|Xbts|Ibts",
    "Cl1invmb|Rdshr|Wrshr|Svdc|Rsdc|Svldt|Rsldt|Svts|Rsts|Smint|Dmint|Rdm$|Bb\\d|Cpu_|Jmpe|Rdudbg|Wrudbg",
    "Movs?xd?_r16_rm16|Movzx_r16_rm16|VEX_Vpdp|VEX_Vpmadd52|VEX_Vcvtne|VEX_Vbcst|Ccs_|Xsha512|Xstore_alt|Montmul|Hreset|V?Pcmp.str.64|Enqcmd|Movdir64b|Xbegin|Bndldx|Bndstx",
    "P(?:aveb|addsiw|magw|distib|subsiw|mvzb|mulhrw|mvnzb|mvlzb|mvgezb|mulhriw|machriw)_",
  ].join("|") + ")",
);

function kindsOf(op: OpCodeInfo): string[] {
  return Array.from({ length: op.opCount }, (_, i) => {
    const kind = OpCodeOperandKind[op.opKind(i)] ?? "";
    const branch = op.mnemonic === Mnemonic.Jmp || op.mnemonic === Mnemonic.Call;
    return kind === "mem" && branch && FAR_MEMORY.has(op.memorySize) ? "mem_far" : kind;
  });
}

/** What a size keyword says of the operand: of a far pointer the size of its offset, of a pair or descriptor nothing. */
function memorySizeOf(op: OpCodeInfo, kinds: readonly string[]): number {
  if (kinds.includes("mem_far")) return FAR_MEMORY.get(op.memorySize) ?? 0;
  return UNSIZED.has(Mnemonic[op.mnemonic] ?? "") ? 0 : MemorySizeExt.size(op.memorySize);
}

const UNSIZED: ReadonlySet<string> = new Set(
  "Lds Les Lfs Lgs Lss Bound Lgdt Lidt Sgdt Sidt Invlpg".split(" "),
);

/** Bytes in front of the opcode proper. */
const ESCAPE_BYTES: ReadonlyMap<OpCodeTableKind, number> = new Map([
  [OpCodeTableKind.T0F, 1],
  [OpCodeTableKind.T0F38, 2],
  [OpCodeTableKind.T0F3A, 2],
]);

/** Bytes of opcode, ModRM, displacement or immediate: what decides between two forms that both fit. */
function lengthOf(op: OpCodeInfo, kinds: readonly string[]): number {
  const modrm = / \/[r0-7]| \d\d\d:\d/.test(op.opCodeString) ? 1 : 0;
  const immediate = kinds.reduce((sum, kind) => sum + (IMMEDIATE_BYTES[kind] ?? 0), 0);
  const prefix =
    op.mandatoryPrefix === MandatoryPrefix.None || op.mandatoryPrefix === MandatoryPrefix.PNP
      ? 0
      : 1;
  return (ESCAPE_BYTES.get(op.table) ?? 0) + op.opCodeLength + modrm + immediate + prefix +
    (op.fwait ? 1 : 0);
}

function rawForm(code: Code, op: OpCodeInfo): RawForm {
  const kinds = kindsOf(op);
  return {
    code,
    mnemonic: (Mnemonic[op.mnemonic] ?? "").toLowerCase(),
    modes: (op.mode16 ? 1 : 0) | (op.mode32 ? 2 : 0) | (op.mode64 ? 4 : 0),
    operandSize: op.operandSize,
    addressSize: op.addressSize,
    flags: (op.canUseLockPrefix ? "l" : "") + (op.defaultOpSize64 || op.forceOpSize64 ? "d" : ""),
    memorySize: memorySizeOf(op, kinds),
    kinds,
    length: lengthOf(op, kinds),
    immediate: kinds.reduce((sum, kind) => sum + (IMMEDIATE_BYTES[kind] ?? 0), 0),
    opCode: op.opCode,
    name: Code[code] ?? "",
  };
}

/** The text of each mnemonic's forms, as `forms.ts` reads it, in alphabetical order. */
export function generateForms(): ReadonlyMap<string, string> {
  const raw: RawForm[] = [];
  for (let code = 0; Code[code] !== undefined; code++) {
    const op = CodeExt.opCode(code);
    const encoded = op.encoding === EncodingKind.Legacy || op.encoding === EncodingKind.VEX;
    if (encoded && op.isInstruction && !op.isReservedNop && !LEFT_OUT.test(Code[code] ?? "")) {
      raw.push(rawForm(code, op));
    }
    op.free();
  }
  const table = deriveForms(raw);
  return new Map(
    [...table.keys()].sort().map((mnemonic) => [
      mnemonic,
      (table.get(mnemonic) ?? []).map(formText).join("|"),
    ]),
  );
}

function formText(form: RawForm): string {
  return [
    form.code,
    form.modes,
    form.operandSize,
    form.addressSize,
    form.flags || "-",
    form.memorySize,
    form.kinds.join(",") || "-",
    ...(form.encoded ? [form.encoded.join(",")] : []),
  ].join(" ");
}

if (import.meta.main) {
  const lines = [...generateForms()].map(([mnemonic, forms]) => `  ${mnemonic}:\n    "${forms}",`);
  Deno.writeTextFileSync(
    new URL("./mnemonics.gen.ts", import.meta.url),
    `// Generated by generate_mnemonics.ts from iced-x86's opcode tables; do not edit. Each mnemonic's forms in order of
// preference, separated by "|": iced Code, modes (1: 16-bit, 2: 32-bit, 4: 64-bit), operand size, address size,
// flags (l: lockable, d: no prefix needed for 64 bits), size of memory in bytes, operand kinds as written, and as encoded
// if that is not the same.
export const FORMS: Readonly<Record<string, string>> = {
${lines.join("\n")}
};
`,
  );
}

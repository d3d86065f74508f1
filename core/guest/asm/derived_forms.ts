// From iced's list of encodings to what NASM accepts under each mnemonic, in NASM's order of preference. Used by the
// generator alone.

/** One encoding, and what it takes. */
export interface RawForm {
  readonly code: number;
  readonly mnemonic: string;
  /** Bits: 1 for 16-bit code, 2 for 32-bit, 4 for 64-bit. */
  readonly modes: number;
  readonly operandSize: number;
  readonly addressSize: number;
  readonly flags: string;
  readonly memorySize: number;
  readonly kinds: readonly string[];
  readonly length: number;
  readonly immediate: number;
  readonly opCode: number;
  readonly name: string;
}

/** Another name for all forms of a mnemonic. */
const ALIASES: Readonly<Record<string, string>> = {
  icebp: "int1",
  int03: "int3",
  fwait: "wait",
  xlat: "xlatb",
  retn: "ret",
  loopz: "loope",
  loopnz: "loopne",
  sal: "shl",
  ud2a: "ud2",
  ud2b: "ud1",
};

/** Conditions by the name iced uses, and their other names (SDM vol. 1, appendix B). */
const CONDITIONS: Readonly<Record<string, readonly string[]>> = {
  b: ["c", "nae"],
  ae: ["nc", "nb"],
  e: ["z"],
  ne: ["nz"],
  be: ["na"],
  a: ["nbe"],
  p: ["pe"],
  np: ["po"],
  l: ["nge"],
  ge: ["nl"],
  le: ["ng"],
  g: ["nle"],
};

/** Mnemonics without a size suffix, and those with one: NASM takes the first to mean the size of the mode. */
const SIZELESS: Readonly<Record<string, readonly string[]>> = {
  iret: ["iret", "iretd", "iretq"],
  pushf: ["pushf", "pushfd", "pushfq"],
  popf: ["popf", "popfd", "popfq"],
  pusha: ["pusha", "pushad"],
  popa: ["popa", "popad"],
  sysret: ["sysret", "sysretq"],
  sysexit: ["sysexit", "sysexitq"],
};
const WORD_SIZED: Readonly<Record<string, string>> = {
  iretw: "iret",
  pushfw: "pushf",
  popfw: "popf",
  pushaw: "pusha",
  popaw: "popa",
};

/** All mnemonics with their forms, best first. */
export function deriveForms(raw: readonly RawForm[]): Map<string, RawForm[]> {
  const table = new Map<string, RawForm[]>();
  const add = (mnemonic: string, form: RawForm) => {
    const forms = table.get(mnemonic);
    if (forms) forms.push(form);
    else table.set(mnemonic, [form]);
  };
  for (const form of raw.map(withoutShortPointers)) {
    for (const variant of variants(form)) add(variant.mnemonic, variant);
  }

  const original = new Map(table);
  for (const [name, sized] of Object.entries(WORD_SIZED)) {
    table.set(name, original.get(sized) ?? []);
  }
  for (const [name, sized] of Object.entries(SIZELESS)) {
    table.set(name, sized.flatMap((s) => original.get(s) ?? []));
  }
  for (const [name, meaning] of Object.entries(ALIASES)) table.set(name, table.get(meaning) ?? []);
  for (const [condition, others] of Object.entries(CONDITIONS)) {
    for (const prefix of ["j", "set", "cmov"]) {
      const forms = table.get(prefix + condition);
      if (forms) { for (const other of others) table.set(prefix + other, forms); }
    }
  }
  for (const [name, sized] of [["retfw", 16], ["retfd", 32], ["retfq", 64]] as const) {
    table.set(name, (original.get("retf") ?? []).filter((f) => f.operandSize === sized));
  }
  for (const [mnemonic, forms] of table) table.set(mnemonic, [...forms].sort(compareForms));
  return table;
}

/** Short first; then the one with the smaller immediate, then by opcode (which stores before it loads). */
function compareForms(a: RawForm, b: RawForm): number {
  return a.length - b.length || a.immediate - b.immediate || a.opCode - b.opCode ||
    a.code - b.code;
}

/** Intel's processors ignore a 16-bit operand size on near branches in 64-bit code (SDM vol. 2, JMP): so does NASM. */
function withoutShortPointers(form: RawForm): RawForm {
  const branch = form.kinds.some((kind) => kind.startsWith("br16") || kind === "xbegin_2") ||
    /^(?:Call|Jmp)_rm16$/.test(form.name);
  return branch ? { ...form, modes: form.modes & 3 } : form;
}

/** The form itself, and what NASM makes of it besides; where both fit, the first one counts. */
function variants(form: RawForm): RawForm[] {
  const { mnemonic, name, kinds } = form;
  const flagged = (kinds: readonly string[], flag: string) => ({
    ...form,
    kinds,
    flags: form.flags + flag,
  });
  switch (mnemonic) {
    case "mov":
      return movVariants(form);
    case "xchg":
      return [flagged([...kinds].reverse(), "s"), form];
    case "test":
      return kinds[1]?.endsWith("_reg") ? [form, flagged([...kinds].reverse(), "s")] : [form];
    case "imul":
      // imul reg, imm stands for imul reg, reg, imm.
      return kinds.length === 3 ? [form, flagged([kinds[0] ?? "", kinds[2] ?? ""], "2")] : [form];
    case "lldt":
    case "ltr":
    case "verr":
    case "verw":
    case "lmsw":
      return selectorForms(form);
    case "vmovq":
      // From and to memory the shorter of two encodings.
      return [{ ...form, kinds: kinds.map((kind) => kind === "r64_or_mem" ? "r64_reg" : kind) }];
    case "arpl":
      return form.name === "Arpl_rm16_r16"
        ? [{ ...form, modes: 1 }]
        : [{ ...form, kinds: ["r16_or_mem", "r16_reg"], flags: "x" }];
    case "sldt":
    case "pextrb":
    case "vpextrb":
    case "vpextrw":
    case "vmovmskpd":
    case "vmovmskps":
    case "vpmovmskb":
      // The upper half is zero either way: NASM has no use for REX.W here.
      return kinds[0]?.startsWith("r32")
        ? [form, { ...form, modes: 4, kinds: ["r64_reg", ...kinds.slice(1)], flags: "x" }]
        : kinds[0]?.startsWith("r64")
        ? []
        : [form];
    case "aam":
    case "aad":
      return [form, flagged([], "t")];
    default:
      return name.startsWith("Sysret") || name.startsWith("Sysexit")
        ? [{ ...form, operandSize: name.endsWith("q") ? 64 : 0 }]
        : [form];
  }
}

/** NASM writes no size prefix where the size makes no difference: moves to and from segment registers, and constants. */
function movVariants(form: RawForm): RawForm[] {
  switch (form.name) {
    case "Mov_Sreg_rm16":
      return segmentLoads(form, 1);
    case "Mov_Sreg_r32m16":
      return segmentLoads(form, 6);
    case "Mov_Sreg_r64m16":
    case "Mov_r64m16_Sreg":
      return [];
    case "Mov_rm16_Sreg":
      return [{ ...form, kinds: ["r16_reg", "seg_reg"] }, {
        ...form,
        modes: 1,
        kinds: ["mem", "seg_reg"],
      }];
    case "Mov_r32m16_Sreg":
      return [
        { ...form, kinds: ["r32_reg", "seg_reg"] },
        { ...form, modes: 6, kinds: ["mem", "seg_reg"] },
        { ...form, modes: 4, kinds: ["r64_reg", "seg_reg"], flags: "x" },
      ];
    case "Mov_r32_imm32":
      return [form, { ...form, modes: 4, kinds: ["r64_opcode", "imm32zex64"], flags: "x" }];
    case "Mov_rm64_imm32":
      return [{ ...form, kinds: ["r64_reg", "imm32const64"] }, {
        ...form,
        kinds: ["mem", "imm32sex64"],
      }];
    default:
      return [form];
  }
}

/** Instructions that read a 16-bit selector from a register: its size makes no difference either. */
function selectorForms(form: RawForm): RawForm[] {
  if (form.name.includes("r64")) return [];
  const wide = form.name.includes("r32");
  const flags = wide ? "x" : "w";
  const common = { ...form, modes: wide ? 6 : 1, flags };
  return [{ ...common, kinds: ["r16_or_mem"] }, { ...common, kinds: ["r32_reg"] }];
}

function segmentLoads(form: RawForm, modes: number): RawForm[] {
  const flags = modes === 1 ? "w" : "x";
  return [
    { ...form, modes, flags, kinds: ["seg_reg", "r16_or_mem"] },
    { ...form, modes, flags, kinds: ["seg_reg", "r32_reg"] },
    { ...form, modes: modes & 4, flags, kinds: ["seg_reg", "r64_reg"] },
  ].filter((f) => f.modes !== 0);
}

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
  /** Operand kinds as written. */
  readonly kinds: readonly string[];
  /**
   * Operands as encoded, where that is not the same: `kind=n` is made from the written operand `n`, `kind` alone is
   * understood from its kind, `#n` is the constant n.
   */
  readonly encoded?: readonly string[];
  readonly length: number;
  readonly immediate: number;
  readonly opCode: number;
  readonly name: string;
}

/** Another name for all forms of a mnemonic. */
const ALIASES: Readonly<Record<string, string>> = {
  icebp: "int1",
  int01: "int1",
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

/** The same form written with other operands: `kinds[n]` stands for the encoded operand `at[n]`, or for none. */
function written(form: RawForm, kinds: readonly string[], at: readonly number[]): RawForm {
  const encoded = form.kinds.map((kind, i) => {
    const from = at.indexOf(i);
    return from === -1 ? kind : `${kind}=${from}`;
  });
  return { ...form, kinds, encoded };
}

/** The same operands in the same places, but of other kinds. */
function retyped(form: RawForm, kinds: readonly string[], modes = form.modes): RawForm[] {
  return modes === 0 ? [] : [{ ...written(form, kinds, kinds.map((_, i) => i)), modes }];
}

/** The form itself, and what NASM makes of it besides; where both fit, the first one counts. */
function variants(form: RawForm): RawForm[] {
  const { mnemonic, name, kinds } = form;
  const [first = "", second = "", third = ""] = kinds;
  if (kinds.includes("sti_opcode") && kinds.includes("st0")) return x87Variants(form);
  if (/^(?:loop|j[er]?cxz)/.test(mnemonic) && first.startsWith("br")) {
    // The counter can be named: loop target, ecx.
    const counter = form.addressSize === 16 ? "cx" : form.addressSize === 32 ? "ecx" : "rcx";
    return mnemonic.startsWith("loop") ? [form, written(form, [first, counter], [0, -1])] : [form];
  }
  switch (mnemonic) {
    case "mov":
      return movVariants(form);
    case "xchg":
      return [written(form, [second, first], [1, 0]), form];
    case "test":
      return second.endsWith("_reg") ? [form, written(form, [second, first], [1, 0])] : [form];
    case "imul":
      // imul reg, imm stands for imul reg, reg, imm.
      return kinds.length === 3
        ? [form, {
          ...form,
          kinds: [first, third],
          encoded: [`${first}=0`, `${second}=0`, `${third}=1`],
        }]
        : [form];
    case "aam":
    case "aad":
      return [form, { ...form, kinds: [], encoded: ["#10"] }];
    case "lldt":
    case "ltr":
    case "verr":
    case "verw":
    case "lmsw":
      return selectorForms(form);
    case "lar":
    case "lsl":
      // Only 16 bits of the selector count, so its register may be smaller than the result's.
      return [
        form,
        ...(first === "r16_reg" ? [] : retyped(form, [first, "r16_reg"])),
        ...(first === "r64_reg" ? retyped(form, [first, "r32_reg"]) : []),
      ];
    case "cmpps":
    case "cmppd":
    case "cmpss":
    case "cmpsd":
      return kinds.length === 3 ? comparisons(form) : [form];
    case "movsxd":
      return name === "Movsxd_r64_rm32" ? [form, { ...form, mnemonic: "movsx" }] : [form];
    case "vmovq":
      // From and to memory the shorter of two encodings.
      return [{ ...form, kinds: kinds.map((kind) => kind === "r64_or_mem" ? "r64_reg" : kind) }];
    case "arpl":
      return name === "Arpl_rm16_r16"
        ? [{ ...form, modes: 1 }]
        : retyped(form, ["r16_or_mem", "r16_reg"]);
    case "blendvps":
    case "blendvpd":
    case "pblendvb":
    case "sha256rnds2":
      return [form, written(form, [first, second, "xmm0"], [0, 1, -1])];
    case "sldt":
    case "pextrb":
    case "vpextrb":
    case "vpextrw":
    case "vmovmskpd":
    case "vmovmskps":
    case "vpmovmskb":
      // The upper half is zero either way: NASM has no use for REX.W here.
      return first.startsWith("r32")
        ? [form, ...retyped(form, ["r64_reg", ...kinds.slice(1)], form.modes & 4)]
        : first.startsWith("r64")
        ? []
        : [form];
    default:
      return name.startsWith("Sysret") || name.startsWith("Sysexit")
        ? [{ ...form, operandSize: name.endsWith("q") ? 64 : 0 }]
        : [form];
  }
}

/** SSE's comparisons have names of their own (SDM vol. 2, CMPPD): cmpeqps for cmpps with 0. */
function comparisons(form: RawForm): RawForm[] {
  const [first = "", second = "", third = ""] = form.kinds;
  const named = ["eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord"].map((predicate, n) => ({
    ...form,
    mnemonic: form.mnemonic.replace("cmp", `cmp${predicate}`),
    kinds: [first, second],
    encoded: [`${first}=0`, `${second}=1`, `#${n}`],
  }));
  return third === "imm8" ? [form, ...named] : [form];
}

/** x87 arithmetic may leave out st0, and mostly both registers: then st1 is meant. */
function x87Variants(form: RawForm): RawForm[] {
  const stack = form.kinds.indexOf("sti_opcode");
  const popping = form.mnemonic.endsWith("p") && stack === 0;
  const arithmetic = /^f(?:add|mul|subr?|divr?)$/.test(form.mnemonic);
  const kind = arithmetic && stack === 0 ? "sti_to" : "sti_opcode";
  const variants = [form, written(form, [kind], [stack])];
  if (popping || (!arithmetic && !form.mnemonic.startsWith("fcmov"))) {
    variants.push({ ...form, kinds: [], encoded: form.kinds });
  }
  return variants;
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
      return [
        { ...form, kinds: ["r16_reg", "seg_reg"] },
        { ...form, modes: 1, kinds: ["mem", "seg_reg"] },
      ];
    case "Mov_r32m16_Sreg":
      return [
        { ...form, kinds: ["r32_reg", "seg_reg"] },
        { ...form, modes: 6, kinds: ["mem", "seg_reg"] },
        ...retyped(form, ["r64_reg", "seg_reg"], 4),
      ];
    case "Mov_r32_imm32":
      return [form, ...retyped(form, ["r64_opcode", "imm32zex64"], 4)];
    case "Mov_rm64_imm32":
      return [
        { ...form, kinds: ["r64_reg", "imm32const64"] },
        { ...form, kinds: ["mem", "imm32sex64"] },
      ];
    default:
      return [form];
  }
}

/** Instructions that read a 16-bit selector from a register: its size makes no difference either. */
function selectorForms(form: RawForm): RawForm[] {
  if (form.name.includes("r64")) return [];
  const modes = form.name.includes("r32") ? 6 : 1;
  return [...retyped(form, ["r16_or_mem"], modes), ...retyped(form, ["r32_reg"], modes)];
}

function segmentLoads(form: RawForm, modes: number): RawForm[] {
  return [
    ...retyped(form, ["seg_reg", "r16_or_mem"], modes),
    ...retyped(form, ["seg_reg", "r32_reg"], modes),
    ...retyped(form, ["seg_reg", "r64_reg"], modes & 4),
  ];
}

// The table of instructions, read one mnemonic at a time: most programs use forty of its thousand.
import { KINDS, type OperandKind } from "./kinds.ts";
import { FORMS } from "./mnemonics.gen.ts";

export interface EncodedOperand {
  readonly kind: string;
  /** Index of the written operand it is made from; undefined if it is understood. */
  readonly from: number | undefined;
}

/** One way to encode an instruction. */
export interface Form {
  /** iced's Code. */
  readonly code: number;
  /** Bits: 1 for 16-bit code, 2 for 32-bit, 4 for 64-bit. */
  readonly modes: number;
  /** In bits; 0 where the form has none. */
  readonly operandSize: number;
  readonly addressSize: number;
  /** LOCK may stand before it. */
  readonly lockable: boolean;
  /** Its 64-bit operand size needs no prefix. */
  readonly default64: boolean;
  /** Bytes of a memory operand; 0 where NASM wants no size. */
  readonly memorySize: number;
  /** Has a target: never the same bytes in two places. */
  readonly isBranch: boolean;
  /** A branch: another form of the mnemonic reaches farther. */
  readonly hasNearTwin: boolean;
  /** Its memory operand has the natural size of the mode unless told otherwise. */
  readonly naturalMemory: boolean;
  /** Operand kinds as written, by name and by what they accept (nothing, where NASM code can't say it here). */
  readonly kinds: readonly string[];
  readonly accepts: readonly (OperandKind | undefined)[];
  /** Operands as encoded. */
  readonly encoded: readonly EncodedOperand[];
  /** A string instruction: its memory operands are not written. */
  readonly hasImplicitMemory: boolean;
}

const IMPLICIT_MEMORY = /^(?:seg_rSI|es_rDI|seg_rDI|seg_rBX_al)$/;
const IMPLICIT_REGISTER = /^(?:al|ax|eax|rax|dx)$/;

const NAMED_SIZES: ReadonlySet<number> = new Set([1, 2, 4, 8, 10, 16, 32]);

/** Where NASM wants no size although there are several: jumps and calls through memory, and conversions of an integer. */
const NATURAL_MEMORY = /^(?:jmp|call|v?cvtsi2s[sd])$/;

const parsed = new Map<string, readonly Form[]>();

/** The forms of a mnemonic (in lower case), best first; undefined if there is none of that name. */
export function formsOf(mnemonic: string): readonly Form[] | undefined {
  const known = parsed.get(mnemonic);
  if (known) return known;
  if (!Object.hasOwn(FORMS, mnemonic)) return undefined;
  const text = FORMS[mnemonic] ?? "";
  const forms = text.split("|").map((form) =>
    parseForm(form, mnemonic, /br(?:16_2|32_4|64_4)/.test(text))
  );
  parsed.set(mnemonic, forms);
  return forms;
}

/** All mnemonics, for suggestions. */
export function mnemonics(): readonly string[] {
  return Object.keys(FORMS);
}

function parseForm(text: string, mnemonic: string, hasNearTwin: boolean): Form {
  const [code, modes, operandSize, addressSize, flags = "", memorySize, list = "-", mapped] = text
    .split(" ");
  const all = list === "-" ? [] : list.split(",");
  const hasImplicitMemory = all.some((kind) => IMPLICIT_MEMORY.test(kind));
  const isImplicit = (kind: string) =>
    hasImplicitMemory && (IMPLICIT_MEMORY.test(kind) || IMPLICIT_REGISTER.test(kind));
  const kinds = all.filter((kind) => !isImplicit(kind));
  let next = 0;
  const encoded = mapped === undefined
    ? all.map((kind) => ({ kind, from: isImplicit(kind) ? undefined : next++ }))
    : mapped.split(",").map((entry) => {
      const [kind = "", from] = entry.split("=");
      return { kind, from: from === undefined ? undefined : Number(from) };
    });
  return {
    code: Number(code),
    modes: Number(modes),
    operandSize: Number(operandSize),
    addressSize: Number(addressSize),
    lockable: flags.includes("l"),
    default64: flags.includes("d"),
    // Environments and descriptors have sizes that no keyword names.
    memorySize: NAMED_SIZES.has(Number(memorySize)) ? Number(memorySize) : 0,
    isBranch: /^br/.test(kinds[0] ?? ""),
    hasNearTwin,
    naturalMemory: NATURAL_MEMORY.test(mnemonic),
    kinds,
    accepts: kinds.map((kind) => KINDS[kind]),
    encoded,
    hasImplicitMemory,
  };
}

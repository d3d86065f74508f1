// The table of instructions, read one mnemonic at a time: most programs use forty of its thousand.
import { FORMS } from "./mnemonics.gen.ts";

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
  /** The operands are written in the other order than they are encoded. */
  readonly swapped: boolean;
  /** The first operand stands for the second too. */
  readonly doubled: boolean;
  /** The constant ten is understood (aam, aad). */
  readonly ten: boolean;
  /** Size in bytes at which general registers are encoded, whatever they are written as; 0 for as written. */
  readonly registersAs: 0 | 2 | 4;
  /** Bytes of a memory operand; 0 where NASM wants no size. */
  readonly memorySize: number;
  /** Has a target: never the same bytes in two places. */
  readonly isBranch: boolean;
  /** A branch: another form of the mnemonic reaches farther. */
  readonly hasNearTwin: boolean;
  /** A jump or call through memory, whose operand has the size of the mode unless told otherwise. */
  readonly branchesThroughMemory: boolean;
  /** Operand kinds as written. */
  readonly kinds: readonly string[];
  /** Operand kinds as encoded, where operands are understood: string instructions. */
  readonly understood: readonly string[] | undefined;
}

const IMPLICIT_MEMORY = /^(?:seg_rSI|es_rDI|seg_rDI|seg_rBX_al)$/;
const IMPLICIT_REGISTER = /^(?:al|ax|eax|rax|dx)$/;

const NAMED_SIZES: ReadonlySet<number> = new Set([1, 2, 4, 8, 10, 16, 32]);

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
  const [code, modes, operandSize, addressSize, flags = "", memorySize, list = "-"] = text.split(
    " ",
  );
  const kinds = list === "-" ? [] : list.split(",");
  const implicit = kinds.some((kind) => IMPLICIT_MEMORY.test(kind));
  return {
    code: Number(code),
    modes: Number(modes),
    operandSize: Number(operandSize),
    addressSize: Number(addressSize),
    lockable: flags.includes("l"),
    default64: flags.includes("d"),
    swapped: flags.includes("s"),
    doubled: flags.includes("2"),
    ten: flags.includes("t"),
    registersAs: flags.includes("w") ? 2 : flags.includes("x") ? 4 : 0,
    // Environments and descriptors have sizes that no keyword names.
    memorySize: NAMED_SIZES.has(Number(memorySize)) ? Number(memorySize) : 0,
    isBranch: /^br|^xbegin/.test(kinds[0] ?? ""),
    hasNearTwin,
    branchesThroughMemory: mnemonic === "jmp" || mnemonic === "call",
    kinds: implicit
      ? kinds.filter((k) => !IMPLICIT_MEMORY.test(k) && !IMPLICIT_REGISTER.test(k))
      : kinds,
    understood: implicit ? kinds : undefined,
  };
}

// Says why no form of an instruction fits, in the words of whoever wrote it.
import type { Form } from "./isa/forms.ts";
import { describeOperand, sizeName } from "./operand.ts";
import type { InstructionItem } from "./program.ts";
import {
  needsLongMode,
  registerClass,
  registerName,
  registerSize,
  resized,
} from "./isa/registers.ts";
import { Abandon, type Reporter } from "./reporter.ts";
import { type Resolved, selectForm } from "./select.ts";

const MODES = [16, 32, 64] as const;
/** As many patterns of operands as a suggestion shows. */
const MAX_PATTERNS = 5;

/** Reports that nothing says how wide a memory operand is. */
export function explainSize(
  item: InstructionItem,
  sizes: readonly number[],
  reporter: Reporter,
): never {
  const memory = item.operands.find((o) => o.is === "memory");
  const names = [...new Set(sizes)].sort((a, b) => a - b).map(sizeName);
  return reporter.fail(
    "Size of the memory operand is not specified",
    memory ? [memory.first, memory.last] : item.mnemonic,
    `Write ${listed(names)} in front of it`,
  );
}

/** Reports why `operands` fit none of the item's forms. */
export function explainMismatch(
  item: InstructionItem,
  operands: readonly Resolved[],
  reporter: Reporter,
): never {
  const name = item.mnemonic.text;
  const [start] = item.operands;
  const end = item.operands[item.operands.length - 1];
  const where = start && end ? [start.first, end.last] as const : item.mnemonic;

  // What is undefined has been reported, and nothing can be said about a form that depends on it.
  if (operands.some(isUnknown)) throw new Abandon();
  const late = operands.find((o) =>
    o.is === "register" && item.bits !== 64 && needsLongMode(o.register)
  );
  if (late?.is === "register") {
    reporter.fail(
      `Register ${registerName(late.register)} exists in 64-bit code only`,
      late.operand.first,
    );
  }
  const counts = new Set(item.forms.map((f) => f.kinds.length));
  if (!counts.has(operands.length)) {
    const wanted = [...counts].sort().map(String);
    reporter.fail(
      `"${name}" takes ${listed(wanted)} operand${
        wanted.length === 1 && wanted[0] === "1" ? "" : "s"
      }, not ${operands.length}`,
      where,
    );
  }
  for (const bits of MODES) {
    if (bits !== item.bits && fitsMode(item.forms, operands, bits)) {
      reporter.fail(
        `"${name}" with these operands does not exist in ${item.bits}-bit code`,
        where,
        widerRegister(item, operands),
      );
    }
  }
  const sized = rule(name.toLowerCase(), operands) ? undefined : differingSizes(operands);
  if (sized) {
    const [a, b] = sized;
    reporter.fail(
      `Operand sizes differ: ${describeOperand(a.operand)} and ${describeOperand(b.operand)}`,
      where,
      resizeSuggestion(name.toLowerCase(), a, b),
    );
  }
  reporter.fail(
    `"${name}" does not take these operands: ${
      operands.map((o) => describeOperand(o.operand)).join(", ")
    }`,
    where,
    rule(name.toLowerCase(), operands) ?? patterns(item.forms, operands.length, item.bits),
  );
}

function fitsMode(
  forms: readonly Form[],
  operands: readonly Resolved[],
  bits: 16 | 32 | 64,
): boolean {
  const context = {
    bits,
    operandPrefix: undefined,
    addressPrefix: undefined,
    at: 0n,
    section: 0,
    prefixBytes: 0,
    noShort: true,
  };
  return selectForm(forms, operands, context).is === "form";
}

function sizeOf(operand: Resolved): number | undefined {
  if (operand.is === "register") {
    return registerClass(operand.register).startsWith("gpr")
      ? registerSize(operand.register)
      : undefined;
  }
  return operand.is === "memory" ? operand.operand.modifiers.size : undefined;
}

/** The first two operands, if both have a size and not the same. */
function differingSizes(operands: readonly Resolved[]): readonly [Resolved, Resolved] | undefined {
  const [a, b] = operands;
  if (!a || !b) return undefined;
  const sizes = [sizeOf(a), sizeOf(b)];
  return sizes[0] !== undefined && sizes[1] !== undefined && sizes[0] !== sizes[1]
    ? [a, b]
    : undefined;
}

function resizeSuggestion(name: string, to: Resolved, from: Resolved): string | undefined {
  const wide = sizeOf(to) ?? 0;
  const narrow = sizeOf(from) ?? 0;
  if (name === "mov" && to.is === "register" && wide > narrow) {
    return narrow === 4
      ? `A write to ${
        registerName(resized(to.register, 4))
      } clears the upper half; "movsxd" extends the sign`
      : 'Use "movzx" or "movsx" to extend the smaller one';
  }
  if (from.is === "register" && wide >= 2) {
    const other = registerName(resized(from.register, wide));
    if (other !== registerName(from.register)) return `Did you mean "${other}"?`;
  }
  return undefined;
}

function isUnknown(operand: Resolved): boolean {
  switch (operand.is) {
    case "register":
      return false;
    case "immediate":
      return operand.value.unknown;
    case "far":
      return operand.selector.unknown || operand.offset.unknown;
    case "memory":
      return operand.address.displacement.unknown;
  }
}

/** push eax, mov cr0, eax: 64-bit code has them with whole registers only. */
function widerRegister(item: InstructionItem, operands: readonly Resolved[]): string | undefined {
  const narrow = operands.find((o) =>
    o.is === "register" && registerClass(o.register) === "gpr32" && item.bits === 64
  );
  return narrow?.is === "register"
    ? `Did you mean "${registerName(resized(narrow.register, 8))}"?`
    : undefined;
}

/** Rules that everybody breaks once. */
function rule(name: string, operands: readonly Resolved[]): string | undefined {
  const [first, second] = operands;
  const far = first?.operand.modifiers.distance === "far";
  if ((name === "jmp" || name === "call") && far && first?.is === "immediate") {
    return `A far ${name} needs a selector: ${name} 0x08:target`;
  }
  if (operands.filter((o) => o.is === "memory").length > 1) {
    return "Only one operand can be in memory: go through a register";
  }
  if (first?.is === "immediate" && second) return "A constant can't be the destination";
  if (
    name === "mov" && first?.is === "register" && registerClass(first.register) === "segment" &&
    second?.is === "immediate"
  ) return "A segment register is loaded from a register or memory";
  if (/^(?:sh[lr]|sa[lr]|ro[lr]|rc[lr])$/.test(name) && second?.is === "register") {
    return "The count is a constant or cl";
  }
  return undefined;
}

const KIND_NAMES: readonly (readonly [RegExp, string])[] = [
  [/^r(8|16|32|64)_or_mem/, "r$1/m$1"],
  [/^r(8|16|32|64)_.*/, "r$1"],
  [/^(mm|xmm|ymm)_or_mem$/, "$1/m"],
  [/^(mm|xmm|ymm)_.*/, "$1"],
  [/^imm8_const_1$/, "1"],
  [/^imm(8|16|32|64).*/, "imm$1"],
  [/^mem_far$/, "far m"],
  [/^mem.*/, "m"],
  [/^(?:br|xbegin).*/, "target"],
  [/^far.*/, "selector:offset"],
  [/^seg_reg$/, "sreg"],
  [/^(cr|dr|tr|bnd)_.*/, "$1"],
  [/^sti_opcode$/, "st(i)"],
];

function kindName(kind: string): string {
  for (const [pattern, name] of KIND_NAMES) {
    if (pattern.test(kind)) return kind.replace(pattern, name);
  }
  return kind;
}

/** The operands that the instruction takes, as the manuals write them. */
function patterns(forms: readonly Form[], count: number, bits: 16 | 32 | 64): string | undefined {
  const mode = bits === 16 ? 1 : bits === 32 ? 2 : 4;
  const usable = forms.filter((f) => (f.modes & mode) !== 0 && f.kinds.length === count);
  const texts = [...new Set(usable.map((f) => f.kinds.map(kindName).join(", ")))];
  if (texts.length === 0) return undefined;
  const shown = texts.slice(0, MAX_PATTERNS).join("; ");
  return `It takes ${shown}${texts.length > MAX_PATTERNS ? "; and more" : ""}`;
}

function listed(words: readonly string[]): string {
  return words.length < 2
    ? words.join("")
    : `${words.slice(0, -1).join(", ")} or ${words[words.length - 1]}`;
}

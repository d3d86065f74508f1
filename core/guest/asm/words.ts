// The words that can begin a statement, besides labels and macros.
import { formsOf } from "./isa/forms.ts";
import { registerClass, registerNamed } from "./isa/registers.ts";

/** Bytes of one element. */
export const DATA_WIDTHS: Readonly<Record<string, number>> = { db: 1, dw: 2, dd: 4, dq: 8, dt: 10 };
export const RESERVE_WIDTHS: Readonly<Record<string, number>> = {
  resb: 1,
  resw: 2,
  resd: 4,
  resq: 8,
  rest: 10,
};

/** NASM's directives, those that are refused with advice included. */
export const DIRECTIVES: ReadonlySet<string> = new Set([
  "bits",
  "use16",
  "use32",
  "use64",
  "default",
  "org",
  "section",
  "segment",
  "align",
  "alignb",
  "global",
  "extern",
  "cpu",
  "incbin",
]);

/** What may stand in front of a mnemonic. */
export const PREFIX_WORDS: ReadonlySet<string> = new Set([
  "rep",
  "repe",
  "repz",
  "repne",
  "repnz",
  "lock",
  "a16",
  "a32",
  "a64",
  "o16",
  "o32",
  "o64",
]);

/** Is it anything but a label or a macro? */
export function isKnownWord(word: string): boolean {
  const lower = word.toLowerCase();
  return formsOf(lower) !== undefined || PREFIX_WORDS.has(lower) || lower in DATA_WIDTHS ||
    lower in RESERVE_WIDTHS || lower === "times" || lower === "equ" || DIRECTIVES.has(lower) ||
    isSegment(lower);
}

/** Is it the name of a segment register? Those are prefixes too. */
export function isSegment(word: string): boolean {
  const register = registerNamed(word);
  return register !== undefined && registerClass(register) === "segment";
}

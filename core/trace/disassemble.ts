// Instruction bytes in words, as NASM users write them. The only user of iced-x86's formatter.
import { Decoder, DecoderOptions, Formatter, FormatterSyntax, Instruction } from "iced-x86";

let shared: Formatter | undefined;

/** The formatter that every caller shares: it has no state that callers could see, and is never freed. */
function formatter(): Formatter {
  if (!shared) {
    shared = new Formatter(FormatterSyntax.Nasm);
    shared.hexPrefix = "0x";
    shared.hexSuffix = "";
    shared.uppercaseHex = false;
    shared.smallHexNumbersInDecimal = true;
    shared.branchLeadingZeros = false;
    shared.showBranchSize = false;
    shared.spaceAfterOperandSeparator = true;
  }
  return shared;
}

/**
 * The first instruction in `bytes`, which stands at linear address `rip`: `mov cr3, rax`. Bytes that are no instruction
 * are `(bad)`; no bytes are the empty string.
 */
export function disassemble(bytes: Uint8Array, bitness: 16 | 32 | 64, rip: bigint): string {
  if (bytes.length === 0) return "";
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = BigInt.asUintN(64, rip);
    decoder.decodeOut(instruction);
    return formatter().format(instruction);
  } finally {
    instruction.free();
    decoder.free();
  }
}

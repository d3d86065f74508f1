// Names the instruction behind a general-protection fault, if it is one that a guest's kernel has no right to under Xen:
// what a port to Xen would have replaced.
import { Decoder, DecoderOptions, Mnemonic } from "iced-x86";

/** A privileged instruction. */
export interface Privileged {
  /** As NASM users write it: `cli`, `out`, `mov`. */
  readonly mnemonic: string;
  readonly length: number;
}

/** The first instruction in `bytes`, if CPL 3 may not execute it; undefined for any other, and for none. */
export function privilegedInstruction(
  bytes: Uint8Array,
  bitness: 16 | 32 | 64,
): Privileged | undefined {
  if (bytes.length === 0) return undefined;
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  try {
    if (!instruction.isPrivileged) return undefined;
    const mnemonic = (Mnemonic[instruction.mnemonic] ?? "").toLowerCase();
    return { mnemonic, length: instruction.length };
  } finally {
    instruction.free();
    decoder.free();
  }
}

// What instruction it is that a guest was stopped at: exits show its bytes, and VMMs go past it.
import { Decoder, DecoderOptions, type Mnemonic } from "iced-x86";

/** The first instruction of some bytes; its own are empty where they are none, or not all of one. */
export function decodeInstruction(
  bytes: Uint8Array,
  bitness: 16 | 32 | 64,
): { readonly bytes: Uint8Array; readonly name: Mnemonic } {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = decoder.decode();
  try {
    const length = instruction.isInvalid ? 0 : instruction.length;
    return { bytes: bytes.slice(0, length), name: instruction.mnemonic };
  } finally {
    instruction.free();
    decoder.free();
  }
}

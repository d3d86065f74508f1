// Decoding of instructions that the run loop does itself. The same few are met again and again: they are kept, and checked
// against the bytes in memory each time.
import { Decoder, DecoderError, DecoderOptions, Instruction } from "iced-x86";
import { sensitiveOperation } from "../../cpu/classify.ts";
import type { SensitiveOperation } from "../../cpu/sensitive_operations.ts";
import { isTranslated } from "../../cpu/translate/instructions.ts";
import { x87Operation } from "../../cpu/x87/instructions.ts";

export interface SlowInstruction {
  readonly insn: Instruction;
  readonly bytes: Uint8Array;
  readonly operation: SensitiveOperation | undefined;
  /** A translator's instruction all the same: it stands here because of where it is, or because code has changed. */
  readonly translated: boolean;
  /** Is it longer than the bytes that were given, or than an instruction may be? */
  readonly cutOff: boolean;
}

/** Longest instruction (SDM vol. 2, 2.3.11). */
export const MAX_INSTRUCTION = 15;

/** Instructions kept a virtual CPU. */
const MAX_KEPT = 4096;
/** Instructions that are no longer kept live on for so many more: the run loop may still be at work on one. */
const MAX_RETIRED = 16;

export class SlowInstructions {
  readonly #known = new Map<bigint, SlowInstruction & { bits: number }>();

  readonly #retired: Instruction[] = [];

  /** The instruction at `rip` (an offset), whose bytes and those after it are given: 1 to 15 of them. */
  decode(rip: bigint, bits: 16 | 32 | 64, bytes: Uint8Array): SlowInstruction {
    const known = this.#known.get(rip);
    // What was invalid may have been cut off at a page's end: with more bytes it is another instruction.
    const valid = known !== undefined && !known.insn.isInvalid;
    if (valid && known.bits === bits && startsWith(bytes, known.bytes)) return known;
    if (known) this.#retire(rip, known.insn);
    for (const [oldest, { insn }] of this.#known) {
      if (this.#known.size < MAX_KEPT) break;
      this.#retire(oldest, insn);
    }
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    decoder.ip = rip;
    const insn = new Instruction();
    decoder.decodeOut(insn);
    const cutOff = decoder.lastError === DecoderError.NoMoreBytes ||
      insn.isInvalid && insn.length === MAX_INSTRUCTION && isTooLong(bits, bytes);
    decoder.free();
    const entry = {
      insn,
      bits,
      bytes: bytes.slice(0, Math.max(1, insn.length)),
      operation: sensitiveOperation(insn),
      // Of x87 instructions the FPU keeps the place: they are not moved.
      translated: isTranslated(insn) && !x87Operation(insn.code),
      cutOff,
    };
    this.#known.set(rip, entry);
    return entry;
  }

  #retire(rip: bigint, insn: Instruction): void {
    this.#known.delete(rip);
    this.#retired.push(insn);
    if (this.#retired.length > MAX_RETIRED) this.#retired.shift()?.free();
  }

  dispose(): void {
    for (const { insn } of this.#known.values()) insn.free();
    for (const insn of this.#retired) insn.free();
    this.#known.clear();
    this.#retired.length = 0;
  }
}

/** iced calls what is too long invalid: so are 15 bytes that would need more if their first prefix were not there. */
function isTooLong(bits: 16 | 32 | 64, bytes: Uint8Array): boolean {
  const decoder = new Decoder(
    bits,
    bytes.subarray(1, MAX_INSTRUCTION),
    DecoderOptions.None,
  );
  decoder.decode().free();
  const { lastError } = decoder;
  decoder.free();
  return lastError === DecoderError.NoMoreBytes;
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.length <= bytes.length && start.every((byte, i) => byte === bytes[i]);
}

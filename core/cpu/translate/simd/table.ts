// Which SIMD instructions are translated, by mnemonic; a later row takes the place of an earlier one. MOVSD and CMPSD are also string instructions: those name no vector.
import { type Instruction, Mnemonic, OpKind } from "iced-x86";
import { COMPUTED, CRC32 } from "./computed.ts";
import { CONVERSIONS } from "./conversion.ts";
import { FLOAT } from "./float.ts";
import { INTEGER } from "./integer.ts";
import { MOVES } from "./moves.ts";
import { SHIFTS } from "./shifts.ts";
import { SHUFFLES } from "./shuffles.ts";
import { type Emit, emptyMmx, gated, isMm, isXmm } from "./vectors.ts";

const TABLE = new Map<Mnemonic, Emit>(
  [...MOVES, ...INTEGER, ...SHUFFLES, ...SHIFTS, ...COMPUTED, ...FLOAT, ...CONVERSIONS]
    .map(([mnemonic, emit]) => [mnemonic, gated(emit)] as const),
);

/** These have a vector in memory alone, in one of their forms. */
const TO_GENERAL = new Set<Mnemonic>([
  Mnemonic.Cvtss2si,
  Mnemonic.Cvttss2si,
  Mnemonic.Cvtsd2si,
  Mnemonic.Cvttsd2si,
]);

/** The emitter of a SIMD instruction; undefined for any other one. */
export function simdEmitter(insn: Instruction): Emit | undefined {
  if (insn.mnemonic === Mnemonic.Crc32) return CRC32;
  if (insn.mnemonic === Mnemonic.Emms) return emptyMmx;
  return namesVector(insn) || TO_GENERAL.has(insn.mnemonic) ? TABLE.get(insn.mnemonic) : undefined;
}

function namesVector(insn: Instruction): boolean {
  for (let operand = 0; operand < insn.opCount; operand++) {
    if (insn.opKind(operand) !== OpKind.Register) continue;
    const register = insn.opRegister(operand);
    if (isXmm(register) || isMm(register)) return true;
  }
  return false;
}

// Every encoding of the x87 instructions, from iced's tables: the oracle tries each on the host. Test code.
import { Code, CodeExt, CpuidFeature, Instruction } from "iced-x86";

export interface X87Form {
  readonly code: Code;
  readonly name: string;
  /** With an operand in memory, that is [rsi]. */
  readonly bytes: Uint8Array;
}

const FEATURES: ReadonlySet<CpuidFeature> = new Set<CpuidFeature>([
  CpuidFeature.FPU,
  CpuidFeature.FPU287,
  CpuidFeature.FPU387,
]);

/** ModRM: [rsi]. */
const RSI = 6;
const OPERAND_SIZE = 0x66, WAIT = 0x9b;

/** All forms but those that wait; those that name a register, with each. */
export const x87Forms = (): X87Form[] => allForms().filter(({ bytes }) => bytes[0] !== WAIT);

/** FSTENV, FINIT and the like: the others behind a WAIT, which decoders take for an instruction; and WAIT. */
export const waitingForms = (): X87Form[] => allForms().filter(({ bytes }) => bytes[0] === WAIT);

function allForms(): X87Form[] {
  const found: X87Form[] = [];
  for (const code of Object.values(Code)) {
    if (typeof code !== "number") continue;
    if (isOfFeatures(code)) found.push(...encodings(code, Code[code] ?? ""));
  }
  return found;
}

function isOfFeatures(code: Code): boolean {
  const insn = new Instruction();
  insn.code = code;
  const features = [...insn.cpuidFeatures()];
  insn.free();
  return features.some((feature) => FEATURES.has(feature));
}

function encodings(code: Code, name: string): X87Form[] {
  const info = CodeExt.opCode(code);
  const { opCode, opCodeLength, groupIndex, operandSize, fwait } = info;
  info.free();
  const prefix = [...(fwait ? [WAIT] : []), ...(operandSize === 16 ? [OPERAND_SIZE] : [])];
  if (opCodeLength === 1) {
    const modrm = groupIndex << 3 | RSI;
    return [{ code, name, bytes: Uint8Array.from([...prefix, opCode, modrm]) }];
  }
  const numbers = /_sti/.test(name) ? [0, 1, 2, 3, 4, 5, 6, 7] : [0];
  return numbers.map((i) => ({
    code,
    name: /_sti/.test(name) ? `${name}(${i})` : name,
    bytes: Uint8Array.from([...prefix, opCode >> 8, (opCode & 255) + i]),
  }));
}

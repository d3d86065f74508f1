// Every encoding of the SIMD instructions that the engine has, found by decoding: prefixes, opcode maps, register and memory
// operands. The oracle tries each on the host. Test code.
import { Code, CpuidFeature, Decoder, DecoderOptions, EncodingKind, Instruction } from "iced-x86";

/** What is tried. */
export const FEATURES: ReadonlySet<CpuidFeature> = new Set([
  CpuidFeature.MMX,
  CpuidFeature.SSE,
  CpuidFeature.SSE2,
  CpuidFeature.SSE3,
  CpuidFeature.SSSE3,
  CpuidFeature.SSE4_1,
  CpuidFeature.SSE4_2,
]);

/** Not for random operands: state in memory, x87 (FISTTP is SSE3's), what does nothing. */
const EXCLUDED = /^(Ldmxcsr|Stmxcsr|Fx|Fisttp|Prefetch|.fence|Emms|Monitor|Mwait|Pause|Movnti)/;

export interface Form {
  readonly code: Code;
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Is an operand in memory? */
  readonly memory: boolean;
}

const PREFIXES = [[], [0x66], [0xf3], [0xf2], [0x66, 0xf2]];
const MAPS = [[0x0f], [0x0f, 0x38], [0x0f, 0x3a]];
const REX = [[], [0x45], [0x48], [0x4d]];
/** xmm1, xmm2 (or others); xmm1, [rsi + 16]. */
const MODRM = { register: [0xca, 0xd9, 0xc0], memory: [0x4e, 16] };

/** Every form, in `variants` encodings at most: other registers, prefixes and immediates. */
export function forms(variants: number, random: (below: number) => number): Form[] {
  const kept = new Map<string, Form[]>();
  for (const form of encodings(random)) {
    const key = `${form.code}/${form.memory}`;
    const known = kept.get(key) ?? [];
    kept.set(key, known);
    if (known.length < variants) known.push(form);
    else if (random(2)) known[random(variants)] = form;
  }
  return [...kept.values()].flat();
}

/** Names of the forms that iced lists for these features and that are not among the tried ones. */
export function untried(tried: readonly Form[]): string[] {
  const codes = new Set(tried.map(({ code }) => code));
  return Object.values(Code).filter((code): code is Code => typeof code === "number")
    .filter((code) => !codes.has(code) && !EXCLUDED.test(Code[code] ?? "") && isOfFeatures(code))
    .map((code) => Code[code] ?? "");
}

function isOfFeatures(code: Code): boolean {
  const insn = new Instruction();
  insn.code = code;
  const legacy = insn.encoding === EncodingKind.Legacy;
  const found = [...insn.cpuidFeatures()].some((feature) => FEATURES.has(feature));
  insn.free();
  return legacy && found;
}

function encodings(random: (below: number) => number): Form[] {
  const found = new Map<string, Form>();
  for (const map of MAPS) {
    for (let opcode = 0; opcode < 256; opcode++) {
      for (const prefix of PREFIXES) {
        for (const rex of REX) {
          const register = MODRM.register[random(MODRM.register.length)] ?? 0xca;
          const immediates = map.at(-1) === 0x3a || [0x70, 0xc2, 0xc4, 0xc5, 0xc6].includes(opcode)
            ? 3
            : 1;
          for (let i = 0; i < immediates; i++) {
            const immediate = random(256);
            // Shifts by an immediate have their operation in ModRM.reg.
            const shifts = opcode >= 0x71 && opcode <= 0x73
              ? [0xd1, 0xe1, 0xf1, 0xd9, 0xf9]
              : [register];
            for (const modrm of [...shifts.map((m) => [m]), MODRM.memory]) {
              // REX.B would make another register of the base.
              const fit = modrm === MODRM.memory ? rex.map((byte) => byte & ~1) : rex;
              const bytes = [...prefix, ...fit, ...map, opcode, ...modrm, immediate];
              const form = decoded(bytes);
              if (form) found.set(`${form.code}/${form.bytes.join()}`, form);
            }
          }
        }
      }
    }
  }
  return [...found.values()];
}

function decoded(bytes: number[]): Form | undefined {
  const decoder = new Decoder(64, Uint8Array.from(bytes), DecoderOptions.None);
  const insn = decoder.decode();
  try {
    const name = Code[insn.code] ?? "";
    if (insn.isInvalid || insn.encoding !== EncodingKind.Legacy || EXCLUDED.test(name)) {
      return undefined;
    }
    if (![...insn.cpuidFeatures()].some((feature) => FEATURES.has(feature))) return undefined;
    return {
      code: insn.code,
      name: insn.toString(),
      memory: insn.memorySize !== 0,
      bytes: Uint8Array.from(bytes.slice(0, insn.length)),
    };
  } finally {
    insn.free();
    decoder.free();
  }
}

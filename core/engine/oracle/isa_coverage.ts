// What is there of all that iced lists: every code is run on the engine, in code of every size that has it. What CPUID
// promises must not be #UD; what it does not promise must be, unless its bytes mean something else.
import { Code, CodeExt, EncodingKind, OpCodeTableKind } from "iced-x86";
import { gpa } from "../../base/address.ts";
import { CR4, EFER, VECTOR } from "../../base/registers.ts";
import { cpuid } from "../../cpu/cpuid.ts";
import { Bus } from "../../machine/bus.ts";
import { embedded } from "../embedded/engine.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";
import type { Vcpu } from "../vcpu.ts";
import { decode, encode, nameOf } from "./encodings.ts";
import { type Bits, existsIn, memoryForms } from "./operand_kinds.ts";
import { isPromised } from "./isa_features.ts";
import { Values } from "./values.ts";

/**
 * - `supported`: CPUID promises it, and it is executed.
 * - `absent`: CPUID does not promise it, and it raises #UD.
 * - `other`: its bytes are those of something else on this CPU, which is promised; or a reserved NOP.
 * - `unsupported`: promised, and raises #UD. A defect.
 * - `leaking`: not promised, and does not raise #UD. A defect.
 */
export type Standing = "supported" | "absent" | "other" | "unsupported" | "leaking";

export interface Coverage {
  readonly code: Code;
  readonly name: string;
  readonly standing: Standing;
  /** Encodings that were run. */
  readonly runs: number;
}

/** #UD is what these are for. */
const MEANT_TO_BE_UNDEFINED = /^Ud[012]/;
const ENTRIES = { 16: "real16", 32: "protected32", 64: "long64" } as const;
const START = 0x10_000, MEMORY = 1 << 20;
/** In real mode, code is where a segment reaches. */
const REAL_START = 0x8000;
const MAX_LENGTH = 15;
const BITS: readonly Bits[] = [64, 32, 16];

function guest(bits: Bits): Vcpu {
  const start = bits === 16 ? REAL_START : START;
  const image = bareImage({ entry: ENTRIES[bits], memory: MEMORY, start });
  const vcpu = startedVcpu(embedded, image, { controls: everyException(), bus: new Bus() });
  const features = CR4.OSFXSR | CR4.OSXMMEXCPT | CR4.OSXSAVE | CR4.FSGSBASE;
  vcpu.set("cr4", vcpu.get("cr4") | BigInt(features));
  vcpu.set("efer", vcpu.get("efer") | BigInt(EFER.SCE));
  return vcpu;
}

class Prober {
  readonly #guests = new Map<Bits, Vcpu>();
  readonly #values = new Values(1);

  dispose(): void {
    for (const vcpu of this.#guests.values()) vcpu.dispose();
  }

  /** Runs some bytes on a CPU that nothing has spoiled: are they #UD? */
  #isUndefined(bytes: Uint8Array, bits: Bits): boolean {
    const vcpu = this.#guests.get(bits) ?? guest(bits);
    this.#guests.set(bits, vcpu);
    const start = bits === 16 ? REAL_START : START;
    vcpu.memory.write(gpa(start), bytes);
    vcpu.set("rip", BigInt(start));
    const stop = vcpu.run(1);
    const undefinedOpcode = stop.reason === "exit" && stop.exit.kind === "exception" &&
      stop.exit.detail.vector === VECTOR.UD;
    if (!undefinedOpcode) {
      vcpu.dispose();
      this.#guests.delete(bits);
    }
    return undefinedOpcode;
  }

  standing(code: Code): Coverage {
    const promised = isPromised(code, cpuid) && isOurs(code);
    const has = memoryForms(code);
    let runs = 0, executed = 0, undefinedOnes = 0, other = 0;
    for (const bits of BITS) {
      for (const memory of [false, true]) {
        if (!existsIn(code, bits) || !(memory ? has.memory : has.register)) continue;
        const wanted = { bits, memory, at: START, target: START + 32, absolute: START + 0x400 };
        const bytes = encode(code, wanted, this.#values);
        if (!bytes) continue;
        if (!promised && meansOther(bytes, code, bits)) {
          other++;
          continue;
        }
        runs++;
        if (this.#isUndefined(bytes, bits)) undefinedOnes++;
        else executed++;
      }
    }
    const standing = promised
      ? executed > 0 || MEANT_TO_BE_UNDEFINED.test(nameOf(code)) ? "supported" : "unsupported"
      : executed > 0
      ? "leaking"
      : undefinedOnes > 0
      ? "absent"
      : other > 0
      ? "other"
      : "leaking";
    return { code, name: nameOf(code), standing, runs };
  }
}

/** Not what only some older or other vendor's processor takes its bytes for. */
function isOurs(code: Code): boolean {
  const op = CodeExt.opCode(code);
  const ours = op.decoderOption === 0 &&
    (op.intelDecoder16 || op.intelDecoder32 || op.intelDecoder64);
  op.free();
  return ours;
}

/** Do the bytes of a code that is not promised decode to one that is, or are they reserved NOPs (SDM vol. 2, table A-3)? */
function meansOther(bytes: Uint8Array, code: Code, bits: Bits): boolean {
  // What stands behind the bytes in memory: zeros.
  const insn = decode(
    Uint8Array.from({ length: MAX_LENGTH }, (_, i) => bytes[i] ?? 0),
    bits,
    START,
  );
  const { code: found, isInvalid } = insn;
  insn.free();
  if (!isInvalid && !isSameCode(found, code) && isPromised(found, cpuid)) return true;
  return isReservedNop(code);
}

const isSameCode = (one: number, other: number) => one === other;

/** 0F 0D and 0F 18 to 0F 1F. */
function isReservedNop(code: Code): boolean {
  const op = CodeExt.opCode(code);
  const opcode = op.opCodeLength === 2 ? op.opCode >> 8 : op.opCode;
  const is = op.encoding === EncodingKind.Legacy && op.table === OpCodeTableKind.T0F &&
    (opcode === 0x0d || opcode >> 3 === 0x18 >> 3);
  op.free();
  return is;
}

/** Every code that is an instruction. */
export function everyCode(): Code[] {
  return Object.values(Code).filter((code): code is Code => typeof code === "number").filter(
    (code) => {
      const op = CodeExt.opCode(code);
      const is = op.isInstruction && !NO_CODE.has(code);
      op.free();
      return is;
    },
  );
}

/** INVALID; a directive; and UD0 without its ModRM byte, as AMD has it: it needs the next instruction's. */
const NO_CODE = new Set<number>([Code.INVALID, Code.Zero_bytes, Code.Ud0]);

/** Where every one of these codes stands. */
export function coverageOf(codes: readonly Code[]): Coverage[] {
  const prober = new Prober();
  try {
    return codes.map((code) => prober.standing(code));
  } finally {
    prober.dispose();
  }
}

// Random short programs of unprivileged instructions, for 16, 32 and 64-bit code: whatever decodes and the embedded CPU
// claims to know, with addresses that often lead somewhere and sometimes to pages that refuse.
import {
  Decoder,
  DecoderOptions,
  FlowControl,
  type Instruction,
  Mnemonic,
  OpKind,
  RegisterExt,
} from "iced-x86";
import { RFLAGS } from "../../base/registers.ts";
import { isSlow } from "../../cpu/execute/execute.ts";
import { isX87 } from "../../cpu/execute/x87.ts";
import { sensitiveOperation } from "../../cpu/classify.ts";
import { STATUS_FLAGS } from "../../cpu/lazy_flags.ts";
import { isTranslated } from "../../cpu/translate/instructions.ts";
import { AVOIDED } from "./leniences.ts";
import { AT, type Mode, SPECIAL_PAGES } from "./machine.ts";
import type { Random } from "./random.ts";
import type { Trial } from "./trial.ts";
import { undefinedFlags } from "./undefined_flags.ts";

const RCX = 1, RSP = 4;
/** Longest instruction. */
const MAX_LENGTH = 15;
const JCC_SHORT = 0x70, LOOPNE = 0xe0, JMP_NEAR = 0xe9, ADDRESS_SIZE = 0x67;
/** Behind 0F. */
const JCC_NEAR = 0x80;

/** Instructions that trials of plain code leave out: what stops the machine, and what has trials of its own. */
const LEFT_OUT = new Set<Mnemonic>([
  ...[Mnemonic.Hlt, Mnemonic.Wbinvd, Mnemonic.Invd, Mnemonic.Pause, Mnemonic.Cpuid, Mnemonic.Rdtsc],
  ...[Mnemonic.Rdtscp, Mnemonic.Monitor, Mnemonic.Mwait, Mnemonic.Vmcall, Mnemonic.Vmmcall],
  ...[Mnemonic.Rdpmc, Mnemonic.Rdmsr, Mnemonic.Wrmsr, Mnemonic.Ret, Mnemonic.Jmp, Mnemonic.Call],
]);

/** Has it an MMX or SSE register among its operands? */
function namesVector(insn: Instruction): boolean {
  for (let operand = 0; operand < insn.opCount; operand++) {
    const register = insn.opRegister(operand);
    if (insn.opKind(operand) !== OpKind.Register) continue;
    if (!RegisterExt.isGPR(register) && !RegisterExt.isSegmentRegister(register)) return true;
  }
  return false;
}

interface Tried {
  readonly bytes: Uint8Array;
  readonly undefined: bigint;
}

/** Segment overrides. Not CS: QEMU does not mind a write to code in protected mode (SDM vol. 3, 5.5). */
const OVERRIDES = [0x26, 0x36, 0x3e, 0x64, 0x65];

function randomBytes(random: Random, bits: 16 | 32 | 64): number[] {
  const bytes: number[] = [];
  if (random.oneIn(4)) bytes.push(0x66);
  if (random.oneIn(6)) bytes.push(0x67);
  if (random.oneIn(12)) bytes.push(random.pick(OVERRIDES));
  if (random.oneIn(10)) bytes.push(random.pick([0xf2, 0xf3]));
  if (bits === 64 && random.oneIn(2)) bytes.push(0x40 + random.below(16));
  if (random.oneIn(4)) bytes.push(0x0f);
  bytes.push(random.below(256), random.below(256));
  while (bytes.length < MAX_LENGTH + 3) {
    // Displacements and immediates: small ones lead to addresses that exist.
    bytes.push(random.oneIn(2) ? random.below(256) : random.pick([0, 0, 1, 4, 0xff]));
  }
  return bytes;
}

function isUsable(insn: Instruction, bytes: Uint8Array): boolean {
  if (insn.isInvalid || LEFT_OUT.has(insn.mnemonic)) return false;
  if (!isTranslated(insn) && !isSlow(insn)) return false;
  if (insn.flowControl !== FlowControl.Next || namesVector(insn)) return false;
  // What the FPU's registers hold is no part of a trial; x87_oracle_test.ts has its own.
  if (isX87(insn)) return false;
  if (AVOIDED.some(({ avoids }) => avoids(insn, bytes.subarray(0, insn.length)))) return false;
  const operation = sensitiveOperation(insn);
  return operation === undefined || operation === "segment-store";
}

function randomInstruction(random: Random, bits: 16 | 32 | 64): Tried {
  for (;;) {
    const bytes = Uint8Array.from(randomBytes(random, bits));
    const decoder = new Decoder(bits, bytes, DecoderOptions.None);
    const insn = decoder.decode();
    const tried = isUsable(insn, bytes)
      ? { bytes: bytes.slice(0, insn.length), undefined: undefinedFlags(insn) }
      : undefined;
    insn.free();
    decoder.free();
    if (tried) return tried;
  }
}

/** A branch, mostly on a condition, over so many bytes. */
function branchOver(random: Random, bits: 16 | 32 | 64, distance: number): number[] {
  // LOOPNE to JCXZ count RCX down, or look at it, or as much of it as their address size says.
  if (random.oneIn(4)) {
    return [...(random.oneIn(3) ? [ADDRESS_SIZE] : []), LOOPNE + random.below(4), distance];
  }
  if (random.below(3)) return [JCC_SHORT + random.below(16), distance];
  const opcode = random.oneIn(8) ? [JMP_NEAR] : [0x0f, JCC_NEAR + random.below(16)];
  return [...opcode, distance, ...new Array<number>(bits === 16 ? 1 : 3).fill(0)];
}

/** Up to six instructions, some jumped over; ends with the first that leaves flags undefined. */
function randomCode(random: Random, bits: 16 | 32 | 64): { code: Uint8Array; undefined: bigint } {
  const code: number[] = [];
  for (let left = 1 + random.below(6); left > 0; left--) {
    const next = randomInstruction(random, bits);
    if (next.undefined === 0n && random.oneIn(4)) {
      code.push(...branchOver(random, bits, next.bytes.length));
    }
    code.push(...next.bytes);
    if (next.undefined) return { code: Uint8Array.from(code), undefined: next.undefined };
  }
  return { code: Uint8Array.from(code), undefined: 0n };
}

/** An address of data, near a page boundary, or in a page that refuses something. */
function pointer(random: Random, mode: Mode): bigint {
  const spread = random.below(0x100) - 0x80;
  if (mode.bits === 16) return BigInt(random.oneIn(3) ? random.below(0x10000) : 0x4000 + spread);
  const page = random.pick([AT.data + 0x1000, AT.data + 0x3000, AT.data + 0x8000]);
  if (!random.oneIn(6)) return BigInt(page + spread);
  return BigInt(SPECIAL_PAGES + 0x1000 * (1 + random.below(8)) + random.below(16) - 8);
}

function general(random: Random, mode: Mode): bigint[] {
  const wide = mode.bits === 64 ? 64 : mode.bits === 32 ? 32 : 16;
  const values = [random.value(), random.value(), random.value()];
  const registers = Array.from({ length: 16 }, () => {
    if (random.oneIn(2)) return pointer(random, mode);
    const value = random.oneIn(3) ? random.value() : random.pick(values);
    return BigInt.asUintN(wide, value);
  });
  if (!random.oneIn(4)) registers[RCX] = BigInt(random.below(40));
  registers[RSP] = stackPointer(random, mode);
  return mode.bits === 64 ? registers : registers.map((value, i) => i < 8 ? value : 0n);
}

function stackPointer(random: Random, mode: Mode): bigint {
  const top = mode.user ? AT.userStack : AT.kernelStack;
  // Aligned, just over a page boundary, or odd.
  const sp = top - 0x800 + random.pick([0, 8, 0x800 - 0x1000 + 4, 1, 6]);
  return BigInt(mode.bits === 16 ? sp & 0xffff : sp);
}

/** A trial of plain code. */
export function plainTrial(random: Random, mode: Mode, name: string): Trial {
  const { code, undefined: open } = randomCode(random, mode.bits);
  const direction = random.oneIn(4) ? BigInt(RFLAGS.DF) : 0n;
  return {
    name,
    mode,
    code,
    general: general(random, mode),
    rflags: BigInt(RFLAGS.FIXED) | (random.u64() & STATUS_FLAGS) | direction,
    patches: [
      { address: AT.data, bytes: random.bytes(0x4000) },
      { address: AT.data + 0x7f00, bytes: random.bytes(0x200) },
      { address: AT.stack + 0x3f00, bytes: random.bytes(0x200) },
    ],
    undefinedFlags: open,
  };
}

// `deno task oracle:host --states N --seed S [--only NAME] [--programs N]`: the engine against the CPU under this process. Every
// form on so many random states (form_oracle.ts); then short random programs. Programs of integer instructions on random state, run natively through FFI and on the engine, must agree in every register, in memory
// and in every flag that the manual defines. Flags set by one instruction are read by the next ones, also across branches:
// that is where lazy flags go wrong.
import { assertEquals } from "@std/assert";
import {
  Decoder,
  DecoderOptions,
  type Instruction,
  Mnemonic,
  OpKind,
  Register,
  RegisterExt,
} from "iced-x86";
import { gpa } from "../../base/address.ts";
import { GENERAL_REGISTERS } from "../../base/registers.ts";
import { hexBytes } from "../../base/hex.ts";
import { STATUS_FLAGS } from "../../cpu/lazy_flags.ts";
import { isTranslated } from "../../cpu/translate/instructions.ts";
import type { Vcpu } from "../vcpu.ts";
import { embedded } from "../embedded/engine.ts";
import { describeForms, runForms } from "./form_oracle.ts";
import { HOST_ORACLE_UNAVAILABLE, HostCpu } from "./host_cpu.ts";
import { PLACE } from "./host_stub.ts";
import { numberOption, say, textOption } from "./options.ts";
import { Random } from "./random.ts";
import { undefinedFlags } from "./undefined_flags.ts";
import { bareImage, everyException, startedVcpu } from "../testing.ts";

/** Each program stands at its own place: the engine makes no regions of code that is written over again and again. */
const { code: CODE, codeSize: CODE_SIZE, scratch: SCRATCH } = PLACE;
/** Bytes of the scratch memory that programs see. */
const SCRATCH_SIZE = 512;
const CODE_STRIDE = 128;
const RSI = 6;

// Opcodes with a ModRM byte, one-byte map and 0F map; and those with what follows.
const MODRM = [
  ...[0, 1, 2, 3].flatMap((low) =>
    [0, 8, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38].map((high) => [high + low])
  ),
  ...[
    0x63,
    0x69,
    0x6b,
    0x80,
    0x81,
    0x83,
    0x84,
    0x85,
    0x86,
    0x87,
    0x88,
    0x89,
    0x8a,
    0x8b,
    0x8d,
    0xc0,
    0xc1,
    0xd0,
    0xd1,
    0xd2,
  ]
    .map((op) => [op]),
  ...[0xd3, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff].map((op) => [op]),
  ...Array.from({ length: 16 }, (_, cc) => [0x0f, 0x40 + cc]),
  ...Array.from({ length: 16 }, (_, cc) => [0x0f, 0x90 + cc]),
  ...[
    0xa3,
    0xab,
    0xb3,
    0xbb,
    0xba,
    0xa4,
    0xa5,
    0xac,
    0xad,
    0xaf,
    0xb0,
    0xb1,
    0xb6,
    0xb7,
    0xbe,
    0xbf,
    0xbc,
    0xbd,
    0xc0,
    0xc1,
  ]
    .map((op) => [0x0f, op]),
];
/** The first so many are ADD to CMP: what conditions mostly follow. */
const ARITHMETIC = 32;
const PLAIN = [
  ...[
    0x04,
    0x05,
    0x0c,
    0x0d,
    0x14,
    0x15,
    0x1c,
    0x1d,
    0x24,
    0x25,
    0x2c,
    0x2d,
    0x34,
    0x35,
    0x3c,
    0x3d,
    0xa8,
    0xa9,
  ],
  ...[
    0x91,
    0x92,
    0x93,
    0x95,
    0x97,
    0x98,
    0x99,
    0x9e,
    0x9f,
    0xb0,
    0xb7,
    0xb8,
    0xbf,
    0xf5,
    0xf8,
    0xf9,
  ],
].map((op) => [op]);
const SWAP = Array.from({ length: 8 }, (_, r) => [0x0f, 0xc8 + r]);
const COUNTS = [[0x0f, 0xb8], [0x0f, 0xbc], [0x0f, 0xbd]];

function randomInstruction(random: Random): number[] {
  const prefix = random.below(4) === 0 ? [0x66] : [];
  const rex = random.below(2) ? [0x40 + random.below(16)] : [];
  const kind = random.below(10);
  if (kind === 0) return [...prefix, ...rex, ...random.pick(PLAIN), ...immediate(random)];
  if (kind === 1) return [...rex, ...random.pick(SWAP)];
  const opcode = random.pick(kind === 2 ? COUNTS : kind < 6 ? MODRM.slice(0, ARITHMETIC) : MODRM);
  const repeat = kind === 2 ? [0xf3] : [];
  const memory = random.below(3) === 0;
  const modrm = memory ? 0x40 | random.below(8) << 3 | RSI : 0xc0 | random.below(64);
  return [
    ...prefix,
    ...repeat,
    ...rex,
    ...opcode,
    modrm,
    ...(memory ? [random.below(256)] : []),
    ...immediate(random),
  ];
}

function immediate(random: Random): number[] {
  return Array.from({ length: 8 }, () => random.below(256));
}

/** One instruction that the host can run harmlessly and that the translator does. */
interface Tried {
  readonly code: Uint8Array;
  readonly mnemonic: Mnemonic;
  readonly insnCode: number;
  readonly undefinedFlags: bigint;
}

function usableInstruction(random: Random): Tried {
  for (;;) {
    const bytes = Uint8Array.from(randomInstruction(random));
    const decoder = new Decoder(64, bytes, DecoderOptions.None);
    const insn = decoder.decode();
    const tried = isUsable(insn)
      ? {
        code: bytes.slice(0, insn.length),
        mnemonic: insn.mnemonic,
        insnCode: insn.code,
        undefinedFlags: undefinedFlags(insn),
      }
      : undefined;
    insn.free();
    decoder.free();
    if (tried && tried.code.length <= 15) return tried;
  }
}

function isUsable(insn: Instruction): boolean {
  if (insn.isInvalid || !isTranslated(insn) || insn.flowControl !== 0) return false;
  if (insn.stackPointerIncrement !== 0) return false;
  if (insn.mnemonic === Mnemonic.Div || insn.mnemonic === Mnemonic.Idiv) return false;
  for (let i = 0; i < insn.opCount; i++) {
    const kind = insn.opKind(i);
    if (kind === OpKind.Register && RegisterExt.fullRegister(insn.opRegister(i)) === Register.RSP) {
      return false;
    }
    // Memory operands lie in the scratch area: RSI points at it and must go on doing so.
    if (
      i === 0 && kind === OpKind.Register &&
      RegisterExt.fullRegister(insn.op0Register) === Register.RSI
    ) return false;
    if (kind === OpKind.Memory && (insn.memoryBase !== Register.RSI || isBitString(insn))) {
      return false;
    }
  }
  return !writesSecond(insn) || RegisterExt.fullRegister(insn.op1Register) !== Register.RSI;
}

const writesSecond = (insn: Instruction) =>
  insn.mnemonic === Mnemonic.Xchg || insn.mnemonic === Mnemonic.Xadd;

/** A register index reaches far away from the scratch area. */
const isBitString = (insn: Instruction) =>
  [Mnemonic.Bt, Mnemonic.Bts, Mnemonic.Btr, Mnemonic.Btc].includes(insn.mnemonic) &&
  insn.op1Kind === OpKind.Register;

const JCC_SHORT = 0x70;
const HLT = 0xf4;

interface RandomProgram {
  readonly code: Uint8Array;
  readonly mnemonics: readonly Mnemonic[];
  readonly codes: readonly number[];
  readonly undefinedFlags: bigint;
}

/** Up to five instructions, some of them jumped over on a condition. Ends with the first that leaves flags undefined. */
function randomProgram(
  random: Random,
): RandomProgram {
  const code: number[] = [];
  const codes: number[] = [];
  const mnemonics: Mnemonic[] = [];
  for (let left = 1 + random.below(5); left > 0; left--) {
    const next = usableInstruction(random);
    mnemonics.push(next.mnemonic);
    codes.push(next.insnCode);
    // What may have been jumped over leaves flags that are sometimes undefined: let it be the last then, never skipped.
    const skippable = next.undefinedFlags === 0n && random.below(3) === 0;
    if (skippable) code.push(JCC_SHORT + random.below(16), next.code.length);
    code.push(...next.code);
    if (next.undefinedFlags) {
      return { code: Uint8Array.from(code), mnemonics, codes, undefinedFlags: next.undefinedFlags };
    }
  }
  return { code: Uint8Array.from(code), mnemonics, codes, undefinedFlags: 0n };
}

function guest(): Vcpu {
  const image = bareImage({ entry: "long64", memory: 2 << 20, start: CODE });
  return startedVcpu(embedded, image, { controls: everyException() });
}

/** What was tried. */
export interface HostTally {
  readonly states: number;
  /** Different mnemonics among the instructions. */
  readonly mnemonics: number;
}

/** Codes in the random programs of a seed, without running them: for the report of what is tested. */
export function programCodes(count: number, seed: number): Set<number> {
  const random = new Random(seed);
  const codes = new Set<number>();
  for (let i = 0; i < count; i++) randomProgram(random).codes.forEach((code) => codes.add(code));
  return codes;
}

/** Runs so many random programs, each on a random state; throws at the first that comes out otherwise. */
export function runHostOracle(states: number, seed: number): HostTally {
  using host = new HostCpu();
  const random = new Random(seed);
  const vcpu = guest();
  const mnemonics = new Set<Mnemonic>();
  for (let tried = 0; tried < states; tried++) {
    const start = CODE + tried * CODE_STRIDE % CODE_SIZE;
    const program = randomProgram(random);
    program.mnemonics.forEach((mnemonic) => mnemonics.add(mnemonic));
    // Few different values, so that comparisons find equals too.
    const values = [random.value(), random.value(), random.value()];
    const registers = GENERAL_REGISTERS.map(() =>
      random.below(4) ? random.pick(values) : random.value()
    );
    registers[RSI] = BigInt(SCRATCH + 256);
    const flags = 0x202n | (random.u64() & STATUS_FLAGS);
    const memory = Uint8Array.from({ length: SCRATCH_SIZE }, () => random.below(256));
    const what = { bits: 64, at: start, code: program.code } as const;
    const expected = host.run(what, { registers, flags, memory });

    vcpu.memory.write(gpa(start), Uint8Array.from([...program.code, HLT]));
    vcpu.memory.write(gpa(SCRATCH), memory);
    GENERAL_REGISTERS.forEach((name, i) => vcpu.set(name, registers[i] ?? 0n));
    vcpu.set("rflags", flags);
    vcpu.set("rip", BigInt(start));
    // A long grant makes one region of it all, a short one several.
    while (vcpu.run(tried % 2 ? 100 : 3).reason === "budget");

    const where = `${hexBytes(program.code, " ")} (seed ${seed}, program ${tried})\n` +
      `registers ${registers.map((r) => r.toString(16))} flags ${flags.toString(16)}`;
    assertEquals(vcpu.get("rip"), BigInt(start + program.code.length + 1), where);
    const actual = GENERAL_REGISTERS.map((name) => vcpu.get(name));
    const show = (values: readonly bigint[]) =>
      values.map((v, i) => `${GENERAL_REGISTERS[i]}=${v.toString(16)}`);
    assertEquals(show(actual), show(expected.registers), where);
    const mask = STATUS_FLAGS & ~program.undefinedFlags;
    assertEquals(
      (vcpu.get("rflags") & mask).toString(16),
      (expected.flags & mask).toString(16),
      where,
    );
    assertEquals(
      hexBytes(vcpu.memory.read(gpa(SCRATCH), SCRATCH_SIZE)),
      hexBytes(expected.memory),
      where,
    );
  }
  vcpu.dispose();
  return { states, mnemonics: mnemonics.size };
}

if (import.meta.main) {
  if (HOST_ORACLE_UNAVAILABLE) {
    say(`skipped: ${HOST_ORACLE_UNAVAILABLE}`);
  } else {
    const seed = numberOption("seed", 1);
    const tally = runForms({
      states: numberOption("states", 200),
      seed,
      only: textOption("only"),
    });
    for (const mismatch of tally.mismatches.values()) say(mismatch);
    say(`seed ${seed}: ${describeForms(tally)}; ${tally.mismatches.size} forms differ`);
    const { states, mnemonics } = runHostOracle(numberOption("programs", 20_000), seed);
    say(`seed ${seed}: ${states} random programs, ${mnemonics} mnemonics, no difference`);
    if (tally.mismatches.size > 0) Deno.exit(1);
  }
}

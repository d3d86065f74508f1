// Encodings of any instruction that iced lists, with random operands: the oracles try them, the coverage report runs them.
// Memory operands are where `memoryAddress` says, once the registers that they name hold what `solve` gives.
import {
  Code,
  CodeExt,
  Decoder,
  DecoderOptions,
  Encoder,
  FlowControl,
  Instruction,
  OpCodeOperandKind as K,
  OpKind,
  Register,
  RegisterExt,
} from "iced-x86";
import { SHORT_ADDRESSES } from "../../cpu/x87/opcode.ts";
import {
  type Bits,
  CONTROLS,
  DEBUGS,
  existsIn,
  EXTRA_DI,
  FIXED,
  isMemoryOnly,
  LOADABLE,
  MEMORY_OR_REGISTER,
  operandKinds,
  REGISTERS,
  SEGMENT_DI,
  SEGMENT_SI,
  TABLE_BASE,
  VECTOR_INDEX,
} from "./operand_kinds.ts";
import type { Values } from "./values.ts";

/** What is asked of an encoding. */
export interface Wanted {
  readonly bits: Bits;
  /** Operands that may be in memory are. */
  readonly memory: boolean;
  /** Where the instruction stands, and where its branches go. */
  readonly at: number;
  readonly target: number;
  /** An address that has no base register to hold it. */
  readonly absolute: number;
}

class Builder {
  readonly insn = new Instruction();
  readonly #used: Register[] = [];

  constructor(readonly code: Code, readonly wanted: Wanted, readonly random: Values) {
    this.insn.code = code;
  }

  build(): Instruction {
    const op = CodeExt.opCode(this.code);
    // The last byte of these operands must be another register's than all the others'.
    const unique = op.requiresUniqueRegNums || op.requiresUniqueDestRegNum;
    operandKinds(this.code).forEach((kind, i) => this.#operand(i, kind, unique));
    if (op.requireOpMaskRegister) this.insn.opMask = Register.K1;
    op.free();
    return this.insn;
  }

  #register(i: number, register: Register): void {
    this.insn.setOpKind(i, OpKind.Register);
    this.insn.setOpRegister(i, register);
    this.#used.push(register);
  }

  #operand(i: number, kind: K, unique: boolean): void {
    const { insn, random, wanted } = this;
    const fixed = FIXED[kind];
    if (fixed !== undefined) return this.#register(i, fixed);
    const isMemory = isMemoryOnly(kind) || MEMORY_OR_REGISTER.has(kind) && wanted.memory;
    if (isMemory) return this.#memory(i, kind);
    const registers = REGISTERS[kind];
    if (registers) {
      const [first, count, wide] = registers;
      const number = unique ? i + 2 : random.below(wanted.bits === 64 ? wide ?? count : count);
      return this.#register(i, first + number);
    }
    const size = wanted.bits;
    switch (kind) {
      case K.r8_reg:
      case K.r8_opcode:
      case K.r8_or_mem: {
        const low = random.oneIn(2) || wanted.bits !== 64;
        return this.#register(i, (low ? Register.AL : Register.SPL) + random.below(low ? 8 : 12));
      }
      case K.seg_reg:
        return this.#register(i, random.pick(LOADABLE));
      case K.cr_reg:
        return this.#register(i, random.pick(CONTROLS));
      case K.dr_reg:
        return this.#register(i, random.pick(DEBUGS));
      case K.sti_opcode:
        return this.#register(i, Register.ST0 + random.below(8));
      case K.seg_rSI:
        return insn.setOpKind(i, SEGMENT_SI[size]);
      case K.seg_rDI:
        return insn.setOpKind(i, SEGMENT_DI[size]);
      case K.es_rDI:
        return insn.setOpKind(i, EXTRA_DI[size]);
      case K.seg_rBX_al:
        insn.setOpKind(i, OpKind.Memory);
        insn.memoryBase = TABLE_BASE[size];
        insn.memoryIndex = Register.AL;
        return;
      case K.farbr2_2:
        insn.setOpKind(i, OpKind.FarBranch16);
        insn.farBranch16 = wanted.target & 0xffff;
        insn.farBranchSelector = 8;
        return;
      case K.farbr4_2:
        insn.setOpKind(i, OpKind.FarBranch32);
        insn.farBranch32 = wanted.target;
        insn.farBranchSelector = 8;
        return;
      default:
        return this.#immediateOrBranch(i, kind);
    }
  }

  #immediateOrBranch(i: number, kind: K): void {
    const { insn, random, wanted } = this;
    const number = random.oneIn(3) ? BigInt(random.below(4)) : random.u64();
    const immediate = (of: OpKind, bits: number) => {
      insn.setOpKind(i, of);
      insn.setImmediateI64(i, BigInt.asIntN(bits, number));
    };
    const branch = (of: OpKind) => {
      insn.setOpKind(i, of);
      if (of === OpKind.NearBranch16) insn.nearBranch16 = wanted.target & 0xffff;
      else if (of === OpKind.NearBranch32) insn.nearBranch32 = wanted.target;
      else insn.nearBranch64 = BigInt(wanted.target);
    };
    const second = i > 0 && insn.opKind(i - 1) === OpKind.Immediate8 ||
      i > 0 && insn.opKind(i - 1) === OpKind.Immediate16;
    switch (kind) {
      case K.imm4_m2z:
        insn.setOpKind(i, OpKind.Immediate8);
        insn.immediate8 = 1;
        return;
      case K.imm8:
        insn.setOpKind(i, second ? OpKind.Immediate8_2nd : OpKind.Immediate8);
        if (second) insn.immediate8_2nd = Number(number & 0xffn);
        else insn.immediate8 = Number(number & 0xffn);
        return;
      case K.imm8_const_1:
        insn.setOpKind(i, OpKind.Immediate8);
        insn.immediate8 = 1;
        return;
      case K.imm8sex16:
        return immediate(OpKind.Immediate8to16, 8);
      case K.imm8sex32:
        return immediate(OpKind.Immediate8to32, 8);
      case K.imm8sex64:
        return immediate(OpKind.Immediate8to64, 8);
      case K.imm16:
        insn.setOpKind(i, OpKind.Immediate16);
        insn.immediate16 = Number(number & 0xffffn);
        return;
      case K.imm32:
        insn.setOpKind(i, OpKind.Immediate32);
        insn.immediate32 = Number(number & 0xffff_ffffn);
        return;
      case K.imm32sex64:
        return immediate(OpKind.Immediate32to64, 32);
      case K.imm64:
        return immediate(OpKind.Immediate64, 64);
      case K.br16_1:
      case K.br16_2:
      case K.brdisp_2:
        return branch(OpKind.NearBranch16);
      case K.br32_1:
      case K.br32_4:
      case K.brdisp_4:
        return branch(OpKind.NearBranch32);
      case K.br64_1:
      case K.br64_4:
        return branch(OpKind.NearBranch64);
      case K.xbegin_2:
      case K.xbegin_4:
        return branch(wanted.bits === 64 ? OpKind.NearBranch64 : OpKind.NearBranch32);
      default:
        throw new Error(`No operand of kind ${K[kind]}`);
    }
  }

  #memory(i: number, kind: K): void {
    const { insn, random, wanted } = this;
    const { bits } = wanted;
    insn.setOpKind(i, OpKind.Memory);
    if (kind === K.mem_offs) {
      insn.memoryDisplSize = bits / 8;
      insn.memoryDisplacement = BigInt(wanted.absolute);
      return;
    }
    const vectorIndex = VECTOR_INDEX[kind];
    if (bits === 16 && vectorIndex === undefined && kind !== K.sibmem && kind !== K.mem_mpx) {
      [insn.memoryBase, insn.memoryIndex] = random.pick(SHORT_ADDRESSES);
      insn.memoryDisplSize = 1;
      insn.memoryDisplacement = 16n;
      return;
    }
    const narrow = bits !== 64 || kind !== K.mem_mpx && random.oneIn(12);
    const [first, count, width] = narrow ? [Register.EAX, 8, 4] : [Register.RAX, 16, 8];
    const way = vectorIndex !== undefined || kind === K.sibmem ? 0 : random.below(10);
    if (way < 8) {
      // A register index of a bit string names the place as well: it must be another register than the base.
      const taken = this.#used.map((used) =>
        first + RegisterExt.number(RegisterExt.fullRegister(used))
      );
      do insn.memoryBase = first + random.below(bits === 64 ? 16 : count); while (
        taken.includes(insn.memoryBase)
      );
      if (vectorIndex !== undefined) insn.memoryIndex = vectorIndex;
      else if (way < 3) this.#index(first, bits === 64 ? 16 : count);
      insn.memoryDisplacement = BigInt(random.below(256) - 128);
      insn.memoryDisplSize = random.oneIn(3) ? width : 1;
      return;
    }
    if (way === 8 && bits === 64 && !narrow) {
      insn.memoryBase = Register.RIP;
      insn.memoryDisplSize = 8;
    } else {
      if (random.oneIn(2)) this.#index(first, count);
      insn.memoryDisplSize = width;
    }
    insn.memoryDisplacement = BigInt(wanted.absolute);
  }

  #index(first: Register, count: number): void {
    const { insn, random } = this;
    const STACK = 4;
    do insn.memoryIndex = first + random.below(count); while (
      insn.memoryIndex === insn.memoryBase || insn.memoryIndex === first + STACK
    );
    insn.memoryIndexScale = random.pick([1, 2, 4, 8]);
  }
}

/** How often operands are drawn anew, where some exclude each other: AH and R8, say. */
const ATTEMPTS = 24;

/** Bytes of a code with random operands, if it can be encoded so. */
export function encode(code: Code, wanted: Wanted, random: Values): Uint8Array | undefined {
  if (!existsIn(code, wanted.bits)) return undefined;
  const encoder = new Encoder(wanted.bits);
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const insn = new Builder(code, wanted, random).build();
      try {
        encoder.encode(insn, BigInt(wanted.at));
        return encoder.takeBuffer();
      } catch {
        encoder.takeBuffer();
      } finally {
        insn.free();
      }
    }
    return undefined;
  } finally {
    encoder.free();
  }
}

/** The first instruction of some bytes; to be freed. */
export function decode(bytes: Uint8Array, bits: Bits, at: number): Instruction {
  const decoder = new Decoder(bits, bytes, DecoderOptions.None);
  decoder.ip = BigInt(at);
  const insn = decoder.decode();
  decoder.free();
  return insn;
}

// Codes as numbers: to TypeScript each is one of five thousand, and it would compare them all with all.
export const isSame = (one: number, other: number): boolean => one === other;
/** iced's name of a code. */
export const nameOf = (code: number): string => Code[code] ?? "";

const MAX_LENGTH = 15;

/** The bytes with prefixes in front that change nothing, if there is room and if the CPU takes them so. */
export function withIdlePrefix(
  bytes: Uint8Array,
  code: Code,
  wanted: Wanted,
  random: Values,
): Uint8Array {
  const idle = [0x26, 0x2e, 0x36, 0x3e, 0x66, 0xf2, 0xf3];
  const more = Uint8Array.from([random.pick(idle), ...bytes]);
  if (more.length > MAX_LENGTH) return bytes;
  const insn = decode(more, wanted.bits, wanted.at);
  const same = isSame(insn.code, code) && insn.length === more.length &&
    !insn.hasRepPrefix && !insn.hasRepnePrefix;
  const relative = insn.isIpRelMemoryOperand || insn.nearBranchTarget !== 0n;
  // Before a near branch in 64-bit code, AMD's processors heed 66, Intel's do not (SDM vol. 2, appendix A.2, f64).
  const branches = insn.flowControl !== FlowControl.Next;
  insn.free();
  return same && !relative && !branches ? more : bytes;
}

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
import type { Values } from "./values.ts";

export type Bits = 16 | 32 | 64;

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

/** Consecutive registers of a kind, the first one and how many; in 64-bit code the number may be greater. */
const REGISTERS: Partial<Record<K, readonly [first: Register, count: number, wide?: number]>> = {};
const kinds = (
  registers: readonly [Register, number, number?],
  ...of: K[]
) => of.forEach((kind) => REGISTERS[kind] = registers);
kinds([Register.AX, 8, 16], K.r16_reg, K.r16_reg_mem, K.r16_rm, K.r16_opcode, K.r16_or_mem);
kinds([Register.EAX, 8, 16], K.r32_reg, K.r32_reg_mem, K.r32_rm, K.r32_opcode, K.r32_vvvv);
kinds([Register.EAX, 8, 16], K.r32_or_mem, K.r32_or_mem_mpx);
kinds([Register.RAX, 8, 16], K.r64_reg, K.r64_reg_mem, K.r64_rm, K.r64_opcode, K.r64_vvvv);
kinds([Register.RAX, 8, 16], K.r64_or_mem, K.r64_or_mem_mpx);
kinds([Register.MM0, 8], K.mm_reg, K.mm_rm, K.mm_or_mem);
kinds([Register.XMM0, 8, 16], K.xmm_reg, K.xmm_rm, K.xmm_vvvv, K.xmm_is4, K.xmm_is5, K.xmm_or_mem);
kinds([Register.YMM0, 8, 16], K.ymm_reg, K.ymm_rm, K.ymm_vvvv, K.ymm_is4, K.ymm_is5, K.ymm_or_mem);
kinds([Register.ZMM0, 8, 16], K.zmm_reg, K.zmm_rm, K.zmm_vvvv, K.zmm_or_mem);
kinds([Register.XMM0, 4], K.xmmp3_vvvv);
kinds([Register.ZMM0, 4], K.zmmp3_vvvv);
kinds([Register.K1, 6], K.k_reg, K.k_rm, K.k_vvvv, K.k_or_mem);
kinds([Register.K2, 1], K.kp1_reg);
kinds([Register.BND0, 4], K.bnd_reg, K.bnd_or_mem_mpx);
kinds([Register.TMM0, 8], K.tmm_reg, K.tmm_rm, K.tmm_vvvv);
kinds([Register.TR3, 5], K.tr_reg);
/** ES, SS, DS, FS and GS take loads; CS takes none. */
const LOADABLE = [Register.ES, Register.SS, Register.DS, Register.FS, Register.GS];
const CONTROLS = [Register.CR0, Register.CR2, Register.CR3, Register.CR4];
const DEBUGS = [Register.DR0, Register.DR3, Register.DR6, Register.DR7];

const FIXED: Partial<Record<K, Register>> = {
  [K.es]: Register.ES,
  [K.cs]: Register.CS,
  [K.ss]: Register.SS,
  [K.ds]: Register.DS,
  [K.fs]: Register.FS,
  [K.gs]: Register.GS,
  [K.al]: Register.AL,
  [K.cl]: Register.CL,
  [K.ax]: Register.AX,
  [K.dx]: Register.DX,
  [K.eax]: Register.EAX,
  [K.rax]: Register.RAX,
  [K.st0]: Register.ST0,
};

const MEMORY_OR_REGISTER: ReadonlySet<K> = new Set([
  ...[K.r8_or_mem, K.r16_or_mem, K.r32_or_mem, K.r32_or_mem_mpx, K.r64_or_mem, K.r64_or_mem_mpx],
  ...[K.mm_or_mem, K.xmm_or_mem, K.ymm_or_mem, K.zmm_or_mem, K.bnd_or_mem_mpx, K.k_or_mem],
]);
const MEMORY: ReadonlySet<K> = new Set([K.mem, K.mem_mpx, K.mem_mib, K.sibmem, K.mem_offs]);
const VECTOR_INDEX: Partial<Record<K, Register>> = {
  [K.mem_vsib32x]: Register.XMM1,
  [K.mem_vsib64x]: Register.XMM1,
  [K.mem_vsib32y]: Register.YMM1,
  [K.mem_vsib64y]: Register.YMM1,
  [K.mem_vsib32z]: Register.ZMM1,
  [K.mem_vsib64z]: Register.ZMM1,
};
const SEGMENT_SI = { 16: OpKind.MemorySegSI, 32: OpKind.MemorySegESI, 64: OpKind.MemorySegRSI };
const SEGMENT_DI = { 16: OpKind.MemorySegDI, 32: OpKind.MemorySegEDI, 64: OpKind.MemorySegRDI };
const EXTRA_DI = { 16: OpKind.MemoryESDI, 32: OpKind.MemoryESEDI, 64: OpKind.MemoryESRDI };
const TABLE_BASE = { 16: Register.BX, 32: Register.EBX, 64: Register.RBX };
/** Bases and indexes that 16-bit addresses have. */
const SHORT_ADDRESSES: readonly (readonly [Register, Register])[] = [
  [Register.BX, Register.SI],
  [Register.BX, Register.DI],
  [Register.BP, Register.SI],
  [Register.BP, Register.DI],
  [Register.SI, Register.None],
  [Register.DI, Register.None],
  [Register.BP, Register.None],
  [Register.BX, Register.None],
];

/** Kinds of the operands of a code. */
export function operandKinds(code: Code): K[] {
  const op = CodeExt.opCode(code);
  const found = [op.op0Kind, op.op1Kind, op.op2Kind, op.op3Kind, op.op4Kind].slice(0, op.opCount);
  op.free();
  return found;
}

/** Has a code a form with an operand in memory; and one without? */
export function memoryForms(code: Code): { memory: boolean; register: boolean } {
  const operands = operandKinds(code);
  const either = operands.some((kind) => MEMORY_OR_REGISTER.has(kind));
  return { memory: either || operands.some(isMemoryOnly), register: !operands.some(isMemoryOnly) };
}

const isMemoryOnly = (kind: K) => MEMORY.has(kind) || VECTOR_INDEX[kind] !== undefined;

/** Can this code be executed in code of this size? */
export function existsIn(code: Code, bits: Bits): boolean {
  const op = CodeExt.opCode(code);
  const exists = bits === 64 ? op.mode64 : bits === 32 ? op.mode32 : op.mode16;
  op.free();
  return exists;
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

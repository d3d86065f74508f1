// Kinds of operands, as iced tells them of each instruction: which registers they may be, and where memory may stand.
import { Code, CodeExt, OpCodeOperandKind as K, OpKind, Register } from "iced-x86";

export type Bits = 16 | 32 | 64;

/** Consecutive registers of a kind, the first one and how many; in 64-bit code the number may be greater. */
export const REGISTERS: Partial<
  Record<K, readonly [first: Register, count: number, wide?: number]>
> = {};
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
export const LOADABLE = [Register.ES, Register.SS, Register.DS, Register.FS, Register.GS];
export const CONTROLS = [Register.CR0, Register.CR2, Register.CR3, Register.CR4];
export const DEBUGS = [Register.DR0, Register.DR3, Register.DR6, Register.DR7];

export const FIXED: Partial<Record<K, Register>> = {
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

export const MEMORY_OR_REGISTER: ReadonlySet<K> = new Set<K>([
  ...[K.r8_or_mem, K.r16_or_mem, K.r32_or_mem, K.r32_or_mem_mpx, K.r64_or_mem, K.r64_or_mem_mpx],
  ...[K.mm_or_mem, K.xmm_or_mem, K.ymm_or_mem, K.zmm_or_mem, K.bnd_or_mem_mpx, K.k_or_mem],
]);
const MEMORY: ReadonlySet<K> = new Set<K>([K.mem, K.mem_mpx, K.mem_mib, K.sibmem, K.mem_offs]);
export const VECTOR_INDEX: Partial<Record<K, Register>> = {
  [K.mem_vsib32x]: Register.XMM1,
  [K.mem_vsib64x]: Register.XMM1,
  [K.mem_vsib32y]: Register.YMM1,
  [K.mem_vsib64y]: Register.YMM1,
  [K.mem_vsib32z]: Register.ZMM1,
  [K.mem_vsib64z]: Register.ZMM1,
};
export const SEGMENT_SI = {
  16: OpKind.MemorySegSI,
  32: OpKind.MemorySegESI,
  64: OpKind.MemorySegRSI,
};
export const SEGMENT_DI = {
  16: OpKind.MemorySegDI,
  32: OpKind.MemorySegEDI,
  64: OpKind.MemorySegRDI,
};
export const EXTRA_DI = { 16: OpKind.MemoryESDI, 32: OpKind.MemoryESEDI, 64: OpKind.MemoryESRDI };
export const TABLE_BASE = { 16: Register.BX, 32: Register.EBX, 64: Register.RBX };

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

/** Is an operand of this kind always in memory? */
export const isMemoryOnly = (kind: K) => MEMORY.has(kind) || VECTOR_INDEX[kind] !== undefined;

/** Can this code be executed in code of this size? */
export function existsIn(code: Code, bits: Bits): boolean {
  const op = CodeExt.opCode(code);
  const exists = bits === 64 ? op.mode64 : bits === 32 ? op.mode32 : op.mode16;
  op.free();
  return exists;
}

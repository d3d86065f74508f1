// What each of iced's operand kinds accepts. iced's names are kept; a few of our own are explained where they stand.
import { Register } from "iced-x86";
import type { RegisterClass } from "./registers.ts";

/** How an immediate is stored, and which values fit. */
export interface ImmediateKind {
  /** Encoded size in bytes. */
  readonly bytes: number;
  /** Sign-extended to this many bits; 0 if not. */
  readonly extendedTo: 0 | 16 | 32 | 64;
  /** The only value there is. */
  readonly only?: bigint;
  /** Plain numbers only, never addresses: NASM keeps room for any address. */
  readonly constant?: true;
  /** Zero-extended to 64 bits. */
  readonly zeroExtended?: true;
}

export interface OperandKind {
  readonly register?: RegisterClass;
  /** Written with "to" in front. */
  readonly to?: true;
  /** This very register. */
  readonly fixed?: number;
  readonly memory?: "any" | "direct" | "far";
  readonly immediate?: ImmediateKind;
  /** Target of a branch: size of the displacement in bytes, and operand size in bits. */
  readonly branch?: { readonly bytes: number; readonly bits: number };
  /** A far pointer: bits of its offset. */
  readonly far?: 16 | 32;
}

const imm = (bytes: number, extendedTo: 0 | 16 | 32 | 64 = 0): OperandKind => ({
  immediate: { bytes, extendedTo },
});
const reg = (register: RegisterClass): OperandKind => ({ register });
const rm = (register: RegisterClass): OperandKind => ({ register, memory: "any" });
const branch = (bits: number, bytes: number): OperandKind => ({ branch: { bits, bytes } });
const fixed = (register: number): OperandKind => ({ fixed: register });
const MEMORY: OperandKind = { memory: "any" };

/** By iced's name; kinds that NASM code can't reach here (opmasks, 512-bit registers) are missing. */
export const KINDS: Readonly<Record<string, OperandKind>> = {
  farbr2_2: { far: 16 },
  farbr4_2: { far: 32 },
  mem_offs: { memory: "direct" },
  mem: MEMORY,
  mem_mpx: MEMORY,
  mem_mib: MEMORY,
  // Ours: memory that holds a far pointer.
  mem_far: { memory: "far" },
  r8_or_mem: rm("gpr8"),
  r16_or_mem: rm("gpr16"),
  r32_or_mem: rm("gpr32"),
  r32_or_mem_mpx: rm("gpr32"),
  r64_or_mem: rm("gpr64"),
  r64_or_mem_mpx: rm("gpr64"),
  mm_or_mem: rm("mm"),
  xmm_or_mem: rm("xmm"),
  ymm_or_mem: rm("ymm"),
  bnd_or_mem_mpx: rm("bound"),
  r8_reg: reg("gpr8"),
  r8_opcode: reg("gpr8"),
  r16_reg: reg("gpr16"),
  r16_reg_mem: reg("gpr16"),
  r16_rm: reg("gpr16"),
  r16_opcode: reg("gpr16"),
  r32_reg: reg("gpr32"),
  r32_reg_mem: reg("gpr32"),
  r32_rm: reg("gpr32"),
  r32_opcode: reg("gpr32"),
  r32_vvvv: reg("gpr32"),
  r64_reg: reg("gpr64"),
  r64_reg_mem: reg("gpr64"),
  r64_rm: reg("gpr64"),
  r64_opcode: reg("gpr64"),
  r64_vvvv: reg("gpr64"),
  seg_reg: reg("segment"),
  mm_reg: reg("mm"),
  mm_rm: reg("mm"),
  xmm_reg: reg("xmm"),
  xmm_rm: reg("xmm"),
  xmm_vvvv: reg("xmm"),
  xmm_is4: reg("xmm"),
  ymm_reg: reg("ymm"),
  ymm_rm: reg("ymm"),
  ymm_vvvv: reg("ymm"),
  ymm_is4: reg("ymm"),
  cr_reg: reg("control"),
  dr_reg: reg("debug"),
  tr_reg: reg("test"),
  bnd_reg: reg("bound"),
  es: fixed(Register.ES),
  cs: fixed(Register.CS),
  ss: fixed(Register.SS),
  ds: fixed(Register.DS),
  fs: fixed(Register.FS),
  gs: fixed(Register.GS),
  al: fixed(Register.AL),
  cl: fixed(Register.CL),
  ax: fixed(Register.AX),
  dx: fixed(Register.DX),
  eax: fixed(Register.EAX),
  rax: fixed(Register.RAX),
  st0: fixed(Register.ST0),
  sti_opcode: reg("st"),
  // Ours: the destination of `fadd to st1`.
  sti_to: { register: "st", to: true },
  // Ours: operands that other assemblers want spelled out.
  cx: fixed(Register.CX),
  ecx: fixed(Register.ECX),
  rcx: fixed(Register.RCX),
  xmm0: fixed(Register.XMM0),
  imm8: imm(1),
  imm8_const_1: { immediate: { bytes: 1, extendedTo: 0, only: 1n } },
  imm8sex16: imm(1, 16),
  imm8sex32: imm(1, 32),
  imm8sex64: imm(1, 64),
  imm16: imm(2),
  imm32: imm(4),
  imm32sex64: imm(4, 64),
  imm64: imm(8),
  // Ours: mov to a 64-bit register has a short form for each sign, of constants alone.
  imm32const64: { immediate: { bytes: 4, extendedTo: 64, constant: true } },
  imm32zex64: { immediate: { bytes: 4, extendedTo: 0, constant: true, zeroExtended: true } },
  br16_1: branch(16, 1),
  br32_1: branch(32, 1),
  br64_1: branch(64, 1),
  br16_2: branch(16, 2),
  br32_4: branch(32, 4),
  br64_4: branch(64, 4),
};

// MOV, PUSH and POP of segment registers, and the loads of far pointers (LDS to LSS).
import { Code, type Instruction, Mnemonic, OpKind, Register } from "iced-x86";
import type { SegmentName } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import {
  effectiveAddress,
  offsetBy,
  readOperand,
  readPlace,
  registerSize,
  segmentName,
  writeOperand,
  writeRegister,
} from "../operands.ts";
import { loadDataSegment, resolveDataSegment } from "../segments.ts";
import { Stack } from "../stack.ts";

function isSegment(instruction: Instruction, operand: number): boolean {
  const register = instruction.opRegister(operand);
  return instruction.opKind(operand) === OpKind.Register && register >= Register.ES &&
    register <= Register.GS;
}

/** MOV to or from a segment register. A register gets the selector zero-extended, memory always 16 bits. */
export function moveSegment(cpu: Cpu, instruction: Instruction): void {
  if (!isSegment(instruction, 0)) {
    const { selector } = cpu.state.segment(segmentName(instruction.op1Register));
    return writeOperand(cpu, instruction, 0, 2, BigInt(selector));
  }
  const name = segmentName(instruction.op0Register);
  loadDataSegment(cpu, name, Number(readOperand(cpu, instruction, 1, 2) & 0xffffn));
  shadowAfter(cpu, name);
}

/** A load of SS by MOV or POP holds interrupts back, so that the stack pointer can follow (SDM vol. 3, 6.8.3). */
function shadowAfter(cpu: Cpu, name: SegmentName): void {
  if (name === "ss") cpu.state.interruptShadow = "mov-ss";
}

/** Operand size of each form of PUSH and POP. */
const SIZES = new Map<Code, 2 | 4 | 8>([
  ...sized(2, Code.Pushw_ES, Code.Pushw_CS, Code.Pushw_SS, Code.Pushw_DS, Code.Pushw_FS),
  ...sized(2, Code.Pushw_GS, Code.Popw_ES, Code.Popw_SS, Code.Popw_DS, Code.Popw_FS),
  ...sized(2, Code.Popw_GS, Code.Popw_CS),
  ...sized(4, Code.Pushd_ES, Code.Pushd_CS, Code.Pushd_SS, Code.Pushd_DS, Code.Pushd_FS),
  ...sized(4, Code.Pushd_GS, Code.Popd_ES, Code.Popd_SS, Code.Popd_DS, Code.Popd_FS),
  ...sized(4, Code.Popd_GS),
  ...sized(8, Code.Pushq_FS, Code.Pushq_GS, Code.Popq_FS, Code.Popq_GS),
]);

function sized(size: 2 | 4 | 8, ...codes: Code[]): [Code, 2 | 4 | 8][] {
  return codes.map((code) => [code, size]);
}

/** The codes of PUSH and POP that are about a segment register. */
export const STACK_FORMS: readonly Code[] = [...SIZES.keys()];

function sizeOf(instruction: Instruction): 2 | 4 | 8 {
  const size = SIZES.get(instruction.code);
  if (!size) throw new Error(`Not a PUSH or POP of a segment register: ${instruction.code}`);
  return size;
}

/** PUSH of a segment register: the selector, zero-extended. */
export function pushSegment(cpu: Cpu, instruction: Instruction): void {
  const { selector } = cpu.state.segment(segmentName(instruction.op0Register));
  const stack = new Stack(cpu);
  stack.push(sizeOf(instruction), BigInt(selector));
  stack.commit();
}

/** POP of a segment register. */
export function popSegment(cpu: Cpu, instruction: Instruction): void {
  const name = segmentName(instruction.op0Register);
  const stack = new Stack(cpu);
  const selector = Number(stack.pop(sizeOf(instruction)) & 0xffffn);
  const segment = resolveDataSegment(cpu, name, selector);
  // The old SS says how wide the pointer is that moves.
  stack.commit();
  cpu.state.setSegment(name, segment);
  shadowAfter(cpu, name);
}

const FAR_POINTER = new Map<Mnemonic, SegmentName>([
  [Mnemonic.Lds, "ds"],
  [Mnemonic.Les, "es"],
  [Mnemonic.Lfs, "fs"],
  [Mnemonic.Lgs, "gs"],
  [Mnemonic.Lss, "ss"],
]);

/** Loads a segment register and a general one from a far pointer in memory: offset, then selector. */
export function loadFarPointer(cpu: Cpu, instruction: Instruction): void {
  const name = FAR_POINTER.get(instruction.mnemonic);
  if (!name) throw new Error("Not a load of a far pointer");
  const place = effectiveAddress(cpu, instruction);
  const size = registerSize(instruction.op0Register);
  const offset = readPlace(cpu, place, size);
  const selector = Number(readPlace(cpu, offsetBy(instruction, place, size), 2));
  loadDataSegment(cpu, name, selector);
  writeRegister(cpu.state, instruction.op0Register, offset);
}

// Sizes of operands, as iced tells them.
import { type Instruction, MemorySizeExt, OpKind, RegisterExt } from "iced-x86";
import type { Size } from "./translation.ts";

/** Bytes of operand `n`: a register or memory. */
export function operandSize(insn: Instruction, operand: number): Size {
  return (insn.opKind(operand) === OpKind.Register
    ? RegisterExt.size(insn.opRegister(operand))
    : MemorySizeExt.size(insn.memorySize)) as Size;
}

// The 11 bits of an x87 instruction's opcode that FOP keeps: the low ones of its first byte, and ModRM (SDM vol. 1, 8.1.9).
import { type Code, CodeExt, type Instruction, OpKind, Register, RegisterExt } from "iced-x86";

/** Opcode without operands, by code; of forms with an operand in memory, ModRM.reg is in it. */
const known = new Map<Code, number>();

function opcodeOf(code: Code): number {
  let opcode = known.get(code);
  if (opcode === undefined) {
    const info = CodeExt.opCode(code);
    const reg = Math.max(0, info.groupIndex) << 3;
    opcode = (info.opCodeLength === 2 ? info.opCode : info.opCode << 8 | reg) & 0x7ff;
    info.free();
    known.set(code, opcode);
  }
  return opcode;
}

/** FOP of an instruction; `i` is the number of the register that it names. */
export function lastOpcode(insn: Instruction, i: number): number {
  const opcode = opcodeOf(insn.code);
  const inMemory = insn.opCount > 0 && insn.op0Kind === OpKind.Memory ||
    insn.opCount > 1 && insn.op1Kind === OpKind.Memory;
  if (inMemory) return opcode | addressByte(insn);
  return (opcode & 7) === 0 && i > 0 ? opcode | i : opcode;
}

/** ModRM.mod and ModRM.rm of an operand in memory: of its shortest form where the instruction does not tell. */
function addressByte(insn: Instruction): number {
  const { memoryBase: base, memoryIndex: index } = insn;
  const displacement = insn.memoryDisplSize;
  const mod = base === Register.None
    ? 0
    : displacement === 0
    ? 0
    : displacement === 1
    ? 0x40
    : 0x80;
  if (base === Register.RIP || base === Register.EIP) return 5;
  if (base === Register.None && index === Register.None) {
    return displacement === 2 ? 6 : displacement === 8 ? 4 : 5;
  }
  if (RegisterExt.size(base || index) === 2) return mod | (SHORT.get(base * 256 + index) ?? 0);
  const number = RegisterExt.number(base) & 7;
  return index !== Register.None || base === Register.None || number === 4 ? mod | 4 : mod | number;
}

/** Base and index of 16-bit addresses, by ModRM.rm (SDM vol. 2, table 2-1). */
export const SHORT_ADDRESSES: readonly (readonly [Register, Register])[] = [
  [Register.BX, Register.SI],
  [Register.BX, Register.DI],
  [Register.BP, Register.SI],
  [Register.BP, Register.DI],
  [Register.SI, Register.None],
  [Register.DI, Register.None],
  [Register.BP, Register.None],
  [Register.BX, Register.None],
];
const SHORT = new Map(SHORT_ADDRESSES.map(([base, index], rm) => [base * 256 + index, rm]));

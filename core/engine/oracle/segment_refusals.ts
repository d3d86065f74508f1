// Which accesses to memory segments refuse, for `leniences.ts`: QEMU checks neither limits nor types. Read off the state in
// which the embedded CPU raised a fault, and apart from the engine's own checks.
import {
  type Instruction,
  type InstructionInfo,
  MemorySizeExt,
  Mnemonic,
  OpAccess,
  OpKind,
  Register,
  RegisterExt,
  type UsedMemory,
} from "iced-x86";
import { GENERAL_REGISTERS } from "../../base/registers.ts";

/** What an access goes through (attributes as `Segment` has them), and general registers, as the instruction found them. */
export interface AddressState {
  readonly real: boolean;
  segment(name: string): { readonly limit: number; readonly attributes: number };
  register(name: string): bigint;
}

/** Names of the segment registers, by iced's numbers. */
const SEGMENTS = new Map<Register, string>([
  [Register.ES, "es"],
  [Register.CS, "cs"],
  [Register.SS, "ss"],
  [Register.DS, "ds"],
  [Register.FS, "fs"],
  [Register.GS, "gs"],
]);
const PRESENT = 0x80, BIG = 0x4000, CODE = 8, READABLE = 2, WRITABLE = 2, DOWN = 4;
const WRITES: ReadonlySet<OpAccess> = new Set([
  ...[OpAccess.Write, OpAccess.CondWrite, OpAccess.ReadWrite, OpAccess.ReadCondWrite],
]);
const BIT_STRINGS = new Set<Mnemonic>([
  ...[Mnemonic.Bt, Mnemonic.Btc, Mnemonic.Btr, Mnemonic.Bts],
]);

/** Does a segment refuse any of the instruction's operands in memory, outside of 64-bit code? */
export function isRefused(insn: Instruction, info: InstructionInfo, state: AddressState): boolean {
  const used = info.usedMemory();
  const refused = used.some((memory) => {
    const name = SEGMENTS.get(memory.segment);
    if (!name || memory.access === OpAccess.NoMemAccess) return false;
    const { limit, attributes } = state.segment(name);
    if (!state.real && !permits(attributes, WRITES.has(memory.access))) return true;
    // A repeated instruction's operands are of unknown size.
    const size = MemorySizeExt.size(memory.memorySize || insn.memorySize);
    return !holds(limit, state.real ? 0 : attributes, offsetOf(insn, memory, state), size);
  });
  for (const memory of used) memory.free();
  return refused;
}

/** Types of code and data (SDM vol. 3, 5.5; table 3-1); a null selector leaves nothing present. */
function permits(attributes: number, write: boolean): boolean {
  if (!(attributes & PRESENT)) return false;
  if (attributes & CODE) return !write && (attributes & READABLE) !== 0;
  return !write || (attributes & WRITABLE) !== 0;
}

/** Limits (SDM vol. 3, 5.3). */
function holds(limit: number, attributes: number, offset: number, size: number): boolean {
  const last = offset + size - 1;
  if ((attributes & (CODE | DOWN)) !== DOWN) return last <= limit;
  return offset > limit && last <= (attributes & BIG ? 0xffff_ffff : 0xffff);
}

function offsetOf(insn: Instruction, memory: UsedMemory, state: AddressState): number {
  // A displacement alone needs no wrapping.
  const register = memory.base === Register.None ? memory.index : memory.base;
  const bits = register === Register.None ? 32 : 8 * RegisterExt.size(register);
  const value = (register: Register) => {
    if (register === Register.None) return 0n;
    const name = GENERAL_REGISTERS[RegisterExt.number(register)] ?? "rax";
    return BigInt.asUintN(8 * RegisterExt.size(register), state.register(name));
  };
  const offset = value(memory.base) + value(memory.index) * BigInt(memory.scale) +
    memory.displacement + bitString(insn, state);
  return Number(BigInt.asUintN(bits, offset));
}

/** Bytes that a bit offset in a register adds (SDM vol. 2, BT). */
function bitString(insn: Instruction, state: AddressState): bigint {
  if (!BIT_STRINGS.has(insn.mnemonic) || insn.op1Kind !== OpKind.Register) return 0n;
  const size = RegisterExt.size(insn.op1Register);
  const name = GENERAL_REGISTERS[RegisterExt.number(insn.op1Register)] ?? "rax";
  const bit = BigInt.asIntN(8 * size, state.register(name));
  return (bit >> BigInt(size === 2 ? 4 : 5)) * BigInt(size);
}

// Which port an IN, OUT, INS or OUTS touches, and whether it may.
import { type Instruction, Mnemonic, OpKind } from "iced-x86";
import { CR0, RFLAGS, VECTOR } from "../base/registers.ts";
import type { Direction } from "../trace/exit.ts";
import type { Cpu } from "./cpu.ts";
import { isPresent, SYSTEM, SYSTEM_ACCESS, typeOf } from "./descriptors.ts";
import { GuestFault } from "./fault.ts";
import { isVirtual8086 } from "./linear.ts";
import { registerSize } from "./operands.ts";
import type { CpuState } from "./state.ts";

/** One access to a port. */
export interface PortAccess {
  readonly port: number;
  readonly size: 1 | 2 | 4;
  readonly direction: Direction;
  /** INS or OUTS. */
  readonly string: boolean;
}

const RCX = 1, RDX = 2;

const STRINGS = new Map<Mnemonic, readonly [Direction, 1 | 2 | 4]>([
  [Mnemonic.Insb, ["in", 1]],
  [Mnemonic.Insw, ["in", 2]],
  [Mnemonic.Insd, ["in", 4]],
  [Mnemonic.Outsb, ["out", 1]],
  [Mnemonic.Outsw, ["out", 2]],
  [Mnemonic.Outsd, ["out", 4]],
]);

/** What a port instruction is about to access. */
export function portAccess(state: CpuState, instruction: Instruction): PortAccess {
  const dx = Number(state.gpr(RDX) & 0xffffn);
  const string = STRINGS.get(instruction.mnemonic);
  if (string) return { port: dx, direction: string[0], size: string[1], string: true };
  const input = instruction.mnemonic === Mnemonic.In;
  const [data, port] = input ? [0, 1] : [1, 0];
  const bytes = registerSize(instruction.opRegister(data));
  return {
    port: instruction.opKind(port) === OpKind.Immediate8 ? instruction.immediate8 : dx,
    size: bytes === 8 ? 4 : bytes,
    direction: input ? "in" : "out",
    string: false,
  };
}

/** Bits of the address and of the count register of INS and OUTS. */
export function stringAddressBits(instruction: Instruction): 16 | 32 | 64 {
  for (const kind of [instruction.op0Kind, instruction.op1Kind]) {
    if (kind === OpKind.MemoryESDI || kind === OpKind.MemorySegSI) return 16;
    if (kind === OpKind.MemoryESEDI || kind === OpKind.MemorySegESI) return 32;
  }
  return 64;
}

/** Is it a repeated INS or OUTS with nothing left to do? It touches no port then, and makes no exit. */
export function isIdleRepeat(state: CpuState, instruction: Instruction): boolean {
  if (!STRINGS.has(instruction.mnemonic) || !isRepeated(instruction)) return false;
  return BigInt.asUintN(stringAddressBits(instruction), state.gpr(RCX)) === 0n;
}

/** REP; for port strings REPNE does the same. */
export function isRepeated(instruction: Instruction): boolean {
  return instruction.hasRepPrefix || instruction.hasRepnePrefix;
}

/** Offset of the I/O map base in a 32-bit or 64-bit TSS (SDM vol. 3, figures 7-2 and 7-11). */
const IO_MAP_BASE = 0x66;

/** #GP(0) unless IOPL or the TSS's bitmap lets the current level touch the port (SDM vol. 1, 19.5). */
export function checkPort(cpu: Cpu, { port, size }: PortAccess): void {
  const { state } = cpu;
  if (!(state.control("cr0") & BigInt(CR0.PE))) return;
  const iopl = (state.systemFlags & RFLAGS.IOPL) >> 12;
  if (state.cpl <= iopl && !isVirtual8086(state)) return;
  const tr = state.segment("tr");
  const refuse = () => new GuestFault(VECTOR.GP, 0);
  const type = typeOf(tr);
  if (!isPresent(tr) || (type !== SYSTEM.TSS_BUSY && type !== SYSTEM.TSS)) throw refuse();
  if (IO_MAP_BASE + 1 > tr.limit) throw refuse();
  const map = Number(cpu.memory.read(tr.base + BigInt(IO_MAP_BASE), 2, SYSTEM_ACCESS));
  // Two bytes are always read: the bits of one access may straddle them.
  const at = map + (port >> 3);
  if (at + 1 > tr.limit) throw refuse();
  const bits = Number(cpu.memory.read(tr.base + BigInt(at), 2, SYSTEM_ACCESS));
  const wanted = ((1 << size) - 1) << (port & 7);
  if (bits & wanted) throw refuse();
}

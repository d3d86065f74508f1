// Which instruction reached device memory. KVM's emulator does a store before it tells of it, so that RIP is after the
// instruction, and a load afterwards. Going backwards, several decodings may end at RIP: the one whose operand is what KVM
// says is taken, by address, size and direction.
import {
  Decoder,
  DecoderOptions,
  Instruction,
  InstructionInfoFactory,
  MemorySizeExt,
  OpAccess,
  Register,
  RegisterExt,
} from "iced-x86";
import type { SegmentName } from "../../base/registers.ts";
import { GENERAL_REGISTERS } from "../../base/registers.ts";
import { MAX_INSTRUCTION } from "./code.ts";
import type { GuestCode } from "./code.ts";
import type { SharedRegisters } from "./registers.ts";

/** What KVM tells of the access. */
export interface MemoryAccessed {
  readonly gpa: number;
  readonly size: number;
  readonly write: boolean;
}

const WRITES = new Set<OpAccess>([
  OpAccess.Write,
  OpAccess.CondWrite,
  OpAccess.ReadWrite,
  OpAccess.ReadCondWrite,
]);
const SEGMENTS = new Map<Register, SegmentName>([
  [Register.ES, "es"],
  [Register.CS, "cs"],
  [Register.SS, "ss"],
  [Register.DS, "ds"],
  [Register.FS, "fs"],
  [Register.GS, "gs"],
]);

const REGISTER_BYTES = 8;

/** Prefixes without LOCK, the mask of REX, and XCHG of memory without its lowest bit (SDM vol. 2, 2.1.1 and appendix A). */
const PREFIXES = new Set([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3]);
const LOCK = 0xf0, REX = 0x40, XCHG = 0x86;

let factory: InstructionInfoFactory | undefined;

/** The instruction that `bytes` begin with; its length, 0 if there is none, and whether it makes this access. */
export function decodeAccess(
  bytes: Uint8Array,
  bitness: 16 | 32 | 64,
  ip: bigint,
  access: MemoryAccessed,
  registers: SharedRegisters,
  code: GuestCode,
): { readonly length: number; readonly fits: boolean } {
  const decoder = new Decoder(bitness, bytes, DecoderOptions.None);
  const instruction = new Instruction();
  try {
    decoder.ip = ip;
    decoder.decodeOut(instruction);
    if (instruction.isInvalid) return { length: 0, fits: false };
    return {
      length: instruction.length,
      fits: reaches(instruction, bitness, access, registers, code),
    };
  } finally {
    instruction.free();
    decoder.free();
  }
}

function reaches(
  instruction: Instruction,
  bitness: 16 | 32 | 64,
  access: MemoryAccessed,
  registers: SharedRegisters,
  code: GuestCode,
): boolean {
  factory ??= new InstructionInfoFactory();
  const info = factory.info(instruction);
  const used = info.usedMemory();
  try {
    return used.some((memory) => {
      if (access.write && !WRITES.has(memory.access)) return false;
      // KVM hands out what is wider than a register in pieces of that size.
      const size = MemorySizeExt.size(memory.memorySize);
      if (size !== access.size && size <= REGISTER_BYTES) return false;
      const offset = value(memory.base, registers) +
        value(memory.index, registers) * BigInt(memory.scale) + memory.displacement;
      const width = addressWidth(memory.base, memory.index, bitness);
      const name = SEGMENTS.get(memory.segment);
      const flat = bitness === 64 && name !== "fs" && name !== "gs";
      const base = name && !flat ? registers.segment(name).base : 0n;
      const linear = BigInt.asUintN(
        bitness === 64 ? 64 : 32,
        BigInt.asUintN(width, offset) + base,
      );
      if (code.translate(linear) === access.gpa) return true;
      // A string instruction has stepped on: forwards or backwards.
      return instruction.isStringInstruction &&
        [linear - BigInt(size), linear + BigInt(size)].some((at) =>
          code.translate(at) === access.gpa
        );
    });
  } finally {
    for (const memory of used) memory.free();
    info.free();
  }
}

/** Of a general register; a displacement from RIP has that in it already. */
function value(register: Register, registers: SharedRegisters): bigint {
  if (!RegisterExt.isGPR(register)) return 0n;
  const name = GENERAL_REGISTERS[RegisterExt.number(register)];
  return name ? BigInt.asUintN(8 * RegisterExt.size(register), registers.get(name)) : 0n;
}

function addressWidth(base: Register, index: Register, bitness: number): number {
  const register = base !== Register.None ? base : index;
  if (register === Register.None) return bitness;
  return 8 * RegisterExt.size(register);
}

/** How long the instruction is that ends at `ip`, of which `bytes` are what stands before; undefined: none fits. */
export function lengthBefore(
  bytes: Uint8Array,
  bitness: 16 | 32 | 64,
  ip: bigint,
  access: MemoryAccessed,
  registers: SharedRegisters,
  code: GuestCode,
): number | undefined {
  let best: number | undefined;
  for (let length = 1; length <= Math.min(MAX_INSTRUCTION, bytes.length); length++) {
    const at = bytes.subarray(bytes.length - length);
    const found = decodeAccess(at, bitness, ip - BigInt(length), access, registers, code);
    if (found.length !== length || !found.fits) continue;
    best ??= length;
    // A longer one with the same operand has one prefix more, which is its own as a rule: a REX.
    if (length === best + 1) best = length;
  }
  return best;
}

/** May nobody come between what the instruction reads and what it writes? LOCK says so; XCHG needs none (SDM vol. 3, 9.1.2.2). */
export function isLocked(bytes: Uint8Array): boolean {
  for (const byte of bytes) {
    if (byte === LOCK) return true;
    if (!PREFIXES.has(byte) && (byte & 0xf0) !== REX) return (byte & 0xfe) === XCHG;
  }
  return false;
}

// How a trial ended, for those who judge differences: the fault and its frame on the handler's stack, and the instruction
// that it is about.
import { Decoder, DecoderOptions, InstructionInfoFactory, type Mnemonic, OpAccess } from "iced-x86";
import { AT, WATCHED } from "./machine.ts";
import type { Outcome, Trial } from "./trial.ts";

/** Exceptions that push an error code (SDM vol. 3, table 6-1). */
const WITH_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);
/** Vectors above are of INT n alone. */
const EXCEPTIONS = 32;

export interface Fault {
  readonly vector: number;
  /** Address of the vector. */
  readonly at: number;
  /** Addresses of what the frame holds. */
  readonly code: number | undefined;
  readonly errorCode: number | undefined;
  readonly flags: number;
}

/** The instruction at fault. */
export interface Culprit {
  readonly mnemonic: Mnemonic;
  /** Has it a memory operand that it reads and writes? */
  readonly modifies: boolean;
  readonly readsFlags: boolean;
}

export interface Situation {
  readonly trial: Trial;
  readonly theirs: Outcome;
  readonly ours: Outcome;
  /** Of the embedded CPU; undefined unless an exception's handler was reached. */
  readonly fault: Fault | undefined;
  readonly culprit: Culprit | undefined;
}

export function situation(trial: Trial, theirs: Outcome, ours: Outcome): Situation {
  const found = faultOf(ours);
  const culprit = found && culpritAt(trial, found.rip);
  return { trial, theirs, ours, fault: found?.fault, culprit };
}

/** A register as a number; 0 where the outcome does not tell it. */
export function registerOf(outcome: Outcome, name: string): bigint {
  return BigInt(`0x${outcome.registers[name] ?? "0"}`);
}

/** 64 where the upper halves of registers mean something. */
export function registerBits(outcome: Outcome): 32 | 64 {
  const long = (registerOf(outcome, "efer") & 0x400n) !== 0n;
  return long && registerOf(outcome, "cs.attributes") & 0x2000n ? 64 : 32;
}

/** Is it in real mode? */
export function isReal(outcome: Outcome): boolean {
  return (registerOf(outcome, "cr0") & 1n) === 0n;
}

/** Linear address of the stack pointer. */
export function stackPointer(outcome: Outcome): number {
  const base = registerBits(outcome) === 64 ? 0n : registerOf(outcome, "ss.base");
  return Number(base + registerOf(outcome, "rsp"));
}

function faultOf(outcome: Outcome): { fault: Fault; rip: number } | undefined {
  if (outcome.end !== "handler") return undefined;
  const real = isReal(outcome);
  const size = real ? 2 : registerBits(outcome) / 8;
  const at = stackPointer(outcome);
  const vector = watchedWord(outcome, at) & 0xff;
  if (vector >= EXCEPTIONS) return undefined;
  const hasCode = !real && WITH_CODE.has(vector);
  const ripAt = at + (hasCode ? 2 : 1) * size;
  const code = hasCode ? at + size : undefined;
  const fault = {
    vector,
    at,
    code,
    errorCode: code === undefined ? undefined : watchedWord(outcome, code),
    flags: ripAt + 2 * size,
  };
  const rip = watchedWord(outcome, ripAt);
  return { fault, rip: real ? rip & 0xffff : rip };
}

/** Four bytes of watched memory; 0 for any other. */
function watchedWord(outcome: Outcome, address: number): number {
  const index = WATCHED.findIndex(({ address: from, length }) =>
    address >= from && address + 4 <= from + length
  );
  const [bytes, watched] = [outcome.memory[index], WATCHED[index]];
  if (!bytes || !watched) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(address - watched.address, true);
}

function culpritAt({ mode, code }: Trial, rip: number): Culprit | undefined {
  const start = AT.end - code.length - (mode.bits === 16 ? AT.code : 0);
  const bytes = code.subarray(Math.max(0, rip - start));
  if (rip < start || bytes.length === 0) return undefined;
  const decoder = new Decoder(mode.bits, bytes, DecoderOptions.None);
  const insn = decoder.decode();
  const factory = new InstructionInfoFactory();
  const info = factory.info(insn);
  const memory = info.usedMemory();
  const modifies = memory.some(({ access }) =>
    access === OpAccess.ReadWrite || access === OpAccess.ReadCondWrite
  );
  const culprit = { mnemonic: insn.mnemonic, modifies, readsFlags: insn.rflagsRead !== 0 };
  for (const object of [...memory, info, factory, insn, decoder]) object.free();
  return culprit;
}

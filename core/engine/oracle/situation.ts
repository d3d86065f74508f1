// How a trial ended, for those who judge differences: the fault and its frame on the handler's stack, and the instruction
// that it is about.
import { Decoder, DecoderOptions, InstructionInfoFactory, Mnemonic, OpAccess } from "iced-x86";
import type { Segment } from "../../base/registers.ts";
import { nullSegment, parseDescriptor, RPL_MASK, TABLE_INDICATOR } from "../../cpu/descriptors.ts";
import { ATTRIBUTE } from "../../cpu/state.ts";
import { AT, SPECIAL_BYTES, SPECIAL_FRAME, SPECIAL_PAGES, WATCHED } from "./machine.ts";
import { type AddressState, isRefused } from "./segment_refusals.ts";
import type { Outcome, Trial } from "./trial.ts";

/** Exceptions that push an error code (SDM vol. 3, table 6-1). */
const WITH_CODE: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);
/** Vectors above are of INT n alone. */
const EXCEPTIONS = 32;

/** Rotates through CF. */
const ROTATES = new Set<Mnemonic>([Mnemonic.Rcl, Mnemonic.Rcr]);

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
  /** Does a segment's limit or type refuse one of its memory operands? */
  readonly refused: boolean;
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
  const culprit = found && culpritAt(trial, found.rip, found.before);
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
  const rsp = registerOf(outcome, "rsp");
  if (registerBits(outcome) === 64) return Number(rsp);
  const wide = (Number(registerOf(outcome, "ss.attributes")) & ATTRIBUTE.DB) !== 0;
  return Number(registerOf(outcome, "ss.base") + BigInt.asUintN(wide ? 32 : 16, rsp));
}

interface FoundFault {
  readonly fault: Fault;
  readonly rip: number;
  readonly before: AddressState;
}

function faultOf(outcome: Outcome): FoundFault | undefined {
  if (outcome.end !== "handler") return undefined;
  const real = isReal(outcome);
  const size = real ? 2 : registerBits(outcome) / 8;
  const at = physical(stackPointer(outcome));
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
  return { fault, rip: real ? rip & 0xffff : rip, before: stateBefore(outcome, ripAt, size) };
}

/** Segments and registers before a fault was delivered: CS, SS and RSP are in its frame, if there alone. */
function stateBefore(outcome: Outcome, ripAt: number, size: number): AddressState {
  const real = isReal(outcome);
  const cs = watchedWord(outcome, ripAt + size) & 0xffff;
  const framed = size === 8 || (!real && (cs & RPL_MASK) !== 0);
  const ss = framed
    ? watchedWord(outcome, ripAt + 4 * size) & 0xffff
    : Number(registerOf(outcome, "ss.selector"));
  const sp = framed
    ? BigInt(watchedWord(outcome, ripAt + 3 * size))
    : registerOf(outcome, "rsp") + BigInt(ripAt + 3 * size - physical(stackPointer(outcome)));
  return {
    real,
    register: (name) => name === "rsp" ? sp : registerOf(outcome, name),
    segment(name) {
      if (!real && name === "cs") return descriptorOf(outcome, cs);
      if (!real && name === "ss") return descriptorOf(outcome, ss);
      if (name === "cs") return { limit: 0xffff, attributes: 0x9b };
      return {
        limit: Number(registerOf(outcome, `${name}.limit`)),
        attributes: Number(registerOf(outcome, `${name}.attributes`)),
      };
    },
  };
}

/** What the tables of the machine say of a selector. */
function descriptorOf(outcome: Outcome, selector: number): Segment {
  if (selector <= RPL_MASK) return nullSegment(selector);
  const at = (selector & TABLE_INDICATOR ? AT.ldt : AT.gdt) + (selector & ~7);
  const [low, high] = [watchedWord(outcome, at), watchedWord(outcome, at + 4)];
  return parseDescriptor(selector, BigInt(high) << 32n | BigInt(low));
}

/** Where a linear address of the machine leads. */
function physical(linear: number): number {
  const isSpecial = linear >= SPECIAL_PAGES && linear < SPECIAL_PAGES + SPECIAL_BYTES;
  return isSpecial ? SPECIAL_FRAME + linear % 0x1000 : linear;
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

function culpritAt(
  { mode, code }: Trial,
  rip: number,
  before: AddressState,
): Culprit | undefined {
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
  const culprit = {
    mnemonic: insn.mnemonic,
    modifies,
    // RCL and RCR by 0 too, though they have no use for them.
    readsFlags: insn.rflagsRead !== 0 || ROTATES.has(insn.mnemonic),
    refused: mode.bits !== 64 && isRefused(insn, info, before),
  };
  for (const object of [...memory, info, factory, insn, decoder]) object.free();
  return culprit;
}

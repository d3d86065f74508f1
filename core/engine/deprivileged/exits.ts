// What an arrival in the shim is to the VMM: the exit that an engine would make that has these controls itself.
import { Decoder, DecoderOptions, type Instruction, Mnemonic } from "iced-x86";
import { EFER, VECTOR } from "../../base/registers.ts";
import { DR6 } from "../../cpu/debug.ts";
import { interruptVector } from "../../cpu/exit_detail.ts";
import type { Exit } from "../../trace/exit.ts";
import type { ExecutionControls } from "../vcpu.ts";
import type { Arrival } from "./arrival.ts";
import type { GuestState } from "./guest_state.ts";

type Exception = Extract<Arrival, { what: "exception" }>;
type Interrupt = Extract<Arrival, { what: "interrupt" }>;

/** Error code of #GP for INT n that CPL 3 may not do: the IDT's bit, and neither EXT nor TI (SDM vol. 3, 6.13). */
const CODE_BITS = 7, CODE_IDT = 2;
/** Causes of #DB that DR6 names; INT1 has none. */
const DR6_CAUSES = BigInt(DR6.BREAKPOINTS | DR6.BD | DR6.BS | DR6.BT);
const INT1 = 0xf1, INT3 = 0xcc, INT = 0xcd;
const INTERRUPTS = new Set<Mnemonic>([Mnemonic.Int, Mnemonic.Int3, Mnemonic.Into]);
const SCE = BigInt(EFER.SCE);

/** The exit. Of INT n, where it has been done, the state's RIP is put back. */
export function exitOf(state: GuestState, arrival: Arrival, controls: ExecutionControls): Exit {
  if (arrival.what === "syscall") return syscall(state);
  const vector = softwareInterrupt(state, arrival);
  if (vector !== undefined) {
    const detail = { vector };
    return { ...placeOf(state), kind: "software-interrupt", via: "fault", detail };
  }
  if (arrival.what === "interrupt") throw new Error("INT n is a software interrupt");
  if (isRefusedSyscall(state, arrival)) return syscall(state);
  if (isRefusedHypercall(state, arrival)) {
    const number = state.get("rax");
    return { ...placeOf(state), kind: "vmcall", via: "fault", detail: { number } };
  }
  const { what: _, ...detail } = arrival;
  const place = placeOf(state);
  // A debug trap comes between two instructions.
  const bytes = arrival.vector === VECTOR.DB ? new Uint8Array() : place.bytes;
  return { ...place, bytes, kind: "exception", via: controls.exceptionVia, detail };
}

function syscall(state: GuestState): Exit {
  const number = state.get("rax");
  return { ...placeOf(state), kind: "syscall", via: "hypercall", detail: { number } };
}

function isRefusedSyscall(state: GuestState, { vector }: Exception): boolean {
  return vector === VECTOR.UD && state.bitness === 64 && (state.get("efer") & SCE) !== 0n &&
    decoded(state, ({ mnemonic }) => mnemonic === Mnemonic.Syscall);
}

/** VMCALL leaves the guest, at whatever CPL, before it can fault; PVM, the KVM in software, has CPL 3 fault first. */
function isRefusedHypercall(state: GuestState, { vector, errorCode }: Exception): boolean {
  return vector === VECTOR.GP && errorCode === 0 && decoded(
    state,
    ({ mnemonic }) => mnemonic === Mnemonic.Vmcall || mnemonic === Mnemonic.Vmmcall,
  );
}

/** Which INT n, INT3 or INT1 it is, if it is one; RIP is put back to it then. */
function softwareInterrupt(state: GuestState, arrival: Interrupt | Exception): number | undefined {
  const { vector } = arrival;
  if (arrival.what === "interrupt") {
    // INT3 has an opcode of its own, and PVM leaves RIP where it was at others; what else it was, it stands before RIP.
    const short = vector === VECTOR.BP && stepBack(state, [INT3]);
    if (!short) stepBack(state, [INT, vector]);
    return vector;
  }
  switch (vector) {
    case VECTOR.GP: {
      const { errorCode = 0 } = arrival;
      if ((errorCode & CODE_BITS) !== CODE_IDT) return undefined;
      const refused = errorCode >> 3;
      const ahead = decoded(state, vectorOf);
      if (ahead !== undefined) return ahead;
      // QEMU's TCG has the vector twice as large there, and RIP behind the instruction where KVM has begun it anew.
      return [refused, refused >> 1].find((number) => stepBack(state, [INT, number]));
    }
    // INT1 looks at no gate.
    case VECTOR.DB: {
      const caused = (state.machine.debugRegister(6) & DR6_CAUSES) !== 0n;
      return !caused && stepBack(state, [INT1]) ? vector : undefined;
    }
    // PVM, the KVM in software, calls INT n undefined, as no CPU does.
    case VECTOR.UD:
      return decoded(state, vectorOf);
    default:
      return undefined;
  }
}

function vectorOf(instruction: Instruction): number | undefined {
  return INTERRUPTS.has(instruction.mnemonic) ? interruptVector(instruction) : undefined;
}

/** Puts RIP back to the instruction before it, if it is this one. */
function stepBack(state: GuestState, instruction: readonly number[]): boolean {
  const before = state.get("rip") - BigInt(instruction.length);
  const bytes = state.read(state.linear(before), instruction.length);
  if (!instruction.every((byte, i) => bytes[i] === byte)) return false;
  state.set("rip", before);
  return true;
}

/** Of the instruction at RIP. Its bytes are empty where it is none, or not all of it is there. */
function placeOf(state: GuestState): Pick<Exit, "rip" | "bytes" | "bitness"> {
  const { linearRip: rip, bitness } = state;
  const length = decoded(state, (instruction) => instruction.isInvalid ? 0 : instruction.length);
  return { rip, bytes: state.read(rip, length), bitness };
}

function decoded<T>(state: GuestState, ask: (instruction: Instruction) => T): T {
  const decoder = new Decoder(state.bitness, state.instructionBytes(), DecoderOptions.None);
  const instruction = decoder.decode();
  try {
    return ask(instruction);
  } finally {
    instruction.free();
    decoder.free();
  }
}

// What has brought the CPU into the shim, and what of the guest's registers the way there has kept.
import type { Gpa } from "../../base/address.ts";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import { RPL_MASK } from "../../cpu/descriptors.ts";
import type { GuestState } from "./guest_state.ts";
import { EngineFailure } from "../lacks.ts";
import { EXCEPTIONS, FRAME, frameAt, type Shim, STUB } from "./shim.ts";

/** An exception, a system call, or INT n. */
export type Arrival =
  | { readonly what: "syscall" }
  /** INT n has been done, or INT3: RIP is behind it. */
  | { readonly what: "interrupt"; readonly vector: number }
  | {
    readonly what: "exception";
    readonly vector: number;
    readonly errorCode?: number;
    /** CR2, for a page fault. */
    readonly address?: bigint;
  };

/** Vectors that push an error code (SDM vol. 3, table 6-1; the last two are AMD's, APM vol. 2, 8.2). */
const WITH_CODE: ReadonlySet<number> = new Set([
  VECTOR.DF,
  VECTOR.TS,
  VECTOR.NP,
  VECTOR.SS,
  VECTOR.GP,
  VECTOR.PF,
  VECTOR.AC,
  21,
  29,
  30,
]);
const SYSCALL_LENGTH = 2n;
/** Set in what a fault pushes, so that the instruction's own breakpoint does not come twice; no doing of the guest's. */
const RESUME = BigInt(RFLAGS.RF);

/**
 * Reads what happened from the stub that rang and the frame on the shim's stack, whose page is at `stacks`, and gives the state its
 * guest's registers.
 */
export function arrive(state: GuestState, shim: Shim, stub: number, stacks: number): Arrival {
  return stub < STUB.syscall ? exception(state, shim, stub, stacks) : systemCall(state, stub);
}

function exception(state: GuestState, shim: Shim, vector: number, stacks: number): Arrival {
  const { machine } = state;
  const bytes = machine.memory.read(stacks + frameAt(vector) as Gpa, FRAME.size);
  const view = new DataView(bytes.buffer);
  const word = (offset: number) => view.getBigUint64(offset, true);
  const selector = (offset: number) => Number(word(offset) & 0xffffn);
  if ((selector(FRAME.cs) & RPL_MASK) === 0) {
    // A debug trap that MOV SS has put off: what it comes after has happened, and is what counts.
    const stub = shim.stubAt(word(FRAME.rip));
    if (vector === VECTOR.DB && stub !== undefined && stub !== vector) {
      return stub < STUB.syscall
        ? exception(state, shim, stub, stacks)
        : systemCall(state, stub, word(FRAME.rsp));
    }
    throw new EngineFailure(`Exception ${vector} in stub ${stub} of the shim`);
  }
  const address = vector === VECTOR.PF ? machine.get("cr2") : undefined;
  // PVM, the KVM in software, has SYSCALL go where LSTAR says and stay at CPL 3, whether EFER allows it or not. It gets no further.
  if (address !== undefined && shim.stubAt(address) === STUB.syscall) {
    return systemCall(state, STUB.syscall, word(FRAME.rsp));
  }
  const { cs, ss } = state.running;
  state.interrupted = {
    rip: word(FRAME.rip),
    rflags: word(FRAME.rflags) & ~RESUME,
    rsp: word(FRAME.rsp),
    cs: state.loaded(selector(FRAME.cs), cs),
    ss: state.loaded(selector(FRAME.ss), ss),
  };
  if (vector >= EXCEPTIONS || vector === VECTOR.BP) return { what: "interrupt", vector };
  return {
    what: "exception",
    vector,
    ...(WITH_CODE.has(vector) ? { errorCode: Number(word(FRAME.errorCode) & 0xffff_ffffn) } : {}),
    ...(address === undefined ? {} : { address }),
  };
}

/** RCX and R11 are the guest's no more, as SYSCALL has it: they say where it was. */
function systemCall(state: GuestState, stub: number, rsp = state.machine.get("rsp")): Arrival {
  const { machine, running: { cs, ss } } = state;
  const rip = BigInt.asUintN(64, machine.get("rcx") - SYSCALL_LENGTH);
  state.interrupted = { rip, rflags: machine.get("r11"), rsp, cs, ss };
  // Compatibility mode has SYSCALL on AMD's CPUs alone: the guest's CPU is as Intel's.
  if (stub === STUB.compatibilitySyscall) return { what: "exception", vector: VECTOR.UD };
  return { what: "syscall" };
}

// The form of instruction semantics in TypeScript, and what most of them share.
import type { Instruction } from "iced-x86";
import type { Cpu } from "../cpu.ts";
import { ripBits } from "../linear.ts";
import type { CpuState } from "../state.ts";

/**
 * What the run loop has to do after an instruction, whose RIP is behind it: go on, wait for an interrupt (HLT), or wait for
 * whatever happens next (MWAIT).
 */
export type Effect = "next" | "halt" | "wait";

/** Does an instruction completely, RIP included, or throws `GuestFault` having changed no register. */
export type Handler = (cpu: Cpu, instruction: Instruction) => Effect;

/** A handler for an instruction that goes on at the next one. */
export function straight(work: (cpu: Cpu, instruction: Instruction) => void): Handler {
  return (cpu, instruction) => {
    work(cpu, instruction);
    advance(cpu.state, instruction);
    return "next";
  };
}

/** A handler for an instruction that sets RIP itself. */
export function transfer(work: (cpu: Cpu, instruction: Instruction) => void): Handler {
  return (cpu, instruction) => {
    work(cpu, instruction);
    return "next";
  };
}

/** RIP of the instruction after this one. */
export function nextRip(state: CpuState, instruction: Instruction): bigint {
  return BigInt.asUintN(ripBits(state.bitness), state.rip + BigInt(instruction.length));
}

/** Moves RIP past the instruction. */
export function advance(state: CpuState, instruction: Instruction): void {
  state.rip = nextRip(state, instruction);
}

// Instructions that interrupt on purpose: INT n, INT3, INT1, INTO, BOUND; and the opcodes that stay undefined.
import { type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import { debugException, releaseDebugRegisters } from "../debug.ts";
import { deliver } from "../deliver.ts";
import { interruptVector } from "../exit_detail.ts";
import { GuestFault } from "../fault.ts";
import { effectiveAddress, offsetBy, readPlace, readRegister, registerSize } from "../operands.ts";
import { redirectInterrupt } from "../virtual_interrupts.ts";
import { advance, nextRip } from "./handler.ts";

/** INT n, INT3, INT1 and INTO. The handler returns to the next instruction. */
export function softwareInterrupt(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const { mnemonic } = instruction;
  if (mnemonic === Mnemonic.Into && !(state.rflags & BigInt(RFLAGS.OF))) {
    return advance(state, instruction);
  }
  // INT1 is a debug exception: the gate's DPL does not hold it up, and general detect ends. DR6 does not tell of it, but of a
  // trap that MOV SS has put off until now: they come together, as Intel's processors have it.
  if (mnemonic === Mnemonic.Int1) {
    if (state.pendingDebug) debugException(state, state.pendingDebug);
    else releaseDebugRegisters(state);
    state.pendingDebug = 0;
  }
  const type = mnemonic === Mnemonic.Int1 ? "exception" : "software-interrupt";
  const [vector, next] = [interruptVector(instruction), nextRip(state, instruction)];
  if (mnemonic === Mnemonic.Int && redirectInterrupt(cpu, vector, next)) return;
  deliver(cpu, { type, vector }, next);
}

/** #BR unless the signed index lies between the two bounds in memory. */
export function checkBounds(cpu: Cpu, instruction: Instruction): void {
  const size = registerSize(instruction.op0Register);
  const signed = (value: bigint) => BigInt.asIntN(8 * size, value);
  const index = signed(readRegister(cpu.state, instruction.op0Register));
  const place = effectiveAddress(cpu, instruction);
  const lower = signed(readPlace(cpu, place, size));
  const upper = signed(readPlace(cpu, offsetBy(instruction, place, size), size));
  if (index < lower || index > upper) throw new GuestFault(VECTOR.BR);
}

/** #UD, always. */
export function undefinedOpcode(): never {
  throw new GuestFault(VECTOR.UD);
}

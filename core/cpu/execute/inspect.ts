// What a program may ask about a selector without a fault: LAR, LSL, VERR, VERW; and ARPL.
import { type Instruction, Mnemonic } from "iced-x86";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import type { Cpu } from "../cpu.ts";
import {
  type Descriptor,
  dplOf,
  isCode,
  isConforming,
  isLongMode,
  isOrdinary,
  readDescriptor,
  RPL_MASK,
  selectorCode,
  SYSTEM,
  typeOf,
} from "../descriptors.ts";
import { GuestFault } from "../fault.ts";
import { setFlag } from "../flags.ts";
import { isRealLike, TYPE } from "../linear.ts";
import { readOperand, writeOperand } from "../operands.ts";

/** System types that LAR knows (SDM vol. 2, LAR, table 3-54), in legacy and in long mode. LSL knows those with a limit. */
const LAR_TYPES: Readonly<Record<"legacy" | "long", readonly number[]>> = {
  legacy: [
    SYSTEM.TSS16,
    SYSTEM.LDT,
    SYSTEM.TSS16_BUSY,
    SYSTEM.CALL_GATE16,
    SYSTEM.TASK_GATE,
    SYSTEM.TSS,
    SYSTEM.TSS_BUSY,
    SYSTEM.CALL_GATE,
  ],
  long: [SYSTEM.LDT, SYSTEM.TSS, SYSTEM.TSS_BUSY, SYSTEM.CALL_GATE],
};
const GATES: readonly number[] = [SYSTEM.CALL_GATE16, SYSTEM.TASK_GATE, SYSTEM.CALL_GATE];

/** The descriptor of a selector that the current level can see; undefined where the answer is ZF = 0. */
function visible(cpu: Cpu, selector: number): Descriptor | undefined {
  if (selectorCode(selector) === 0) return undefined;
  let descriptor;
  try {
    descriptor = readDescriptor(cpu, selector);
  } catch (thrown) {
    // Beyond the table is an answer, not a fault; a page fault on the table is one.
    if (thrown instanceof GuestFault && thrown.vector === VECTOR.GP) return undefined;
    throw thrown;
  }
  const dpl = dplOf(descriptor);
  const reachable = isConforming(descriptor) ||
    (cpu.state.cpl <= dpl && (selector & RPL_MASK) <= dpl);
  return reachable ? descriptor : undefined;
}

/** LAR and LSL. */
export function loadAttribute(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  const selector = Number(readOperand(cpu, instruction, 1, 2) & 0xffffn);
  const descriptor = visible(cpu, selector);
  const rights = instruction.mnemonic === Mnemonic.Lar;
  const types = LAR_TYPES[isLongMode(state) ? "long" : "legacy"];
  const known = descriptor && (isOrdinary(descriptor) ||
    (types.includes(typeOf(descriptor)) && (rights || !GATES.includes(typeOf(descriptor)))));
  if (known) {
    // The second doubleword, but for the base. Bits 16 to 19, the limit, are undefined (SDM vol. 2, LAR): processors give them.
    const value = rights ? (descriptor.raw >> 32n) & 0x00ff_ff00n : BigInt(descriptor.limit);
    writeOperand(cpu, instruction, 0, 2, value);
  }
  setFlag(state, RFLAGS.ZF, known !== undefined && known);
}

/** VERR and VERW. */
export function verifySegment(cpu: Cpu, instruction: Instruction): void {
  const selector = Number(readOperand(cpu, instruction, 0, 2) & 0xffffn);
  const descriptor = visible(cpu, selector);
  setFlag(
    cpu.state,
    RFLAGS.ZF,
    descriptor !== undefined && isOrdinary(descriptor) &&
      allows(descriptor, instruction.mnemonic === Mnemonic.Verw),
  );
}

function allows(descriptor: Descriptor, write: boolean): boolean {
  const { attributes } = descriptor;
  if (isCode(descriptor)) return !write && (attributes & TYPE.READABLE) !== 0;
  return !write || (attributes & TYPE.WRITABLE) !== 0;
}

/** Raises the RPL of the first selector to that of the second. */
export function adjustRpl(cpu: Cpu, instruction: Instruction): void {
  if (isRealLike(cpu.state)) throw new GuestFault(VECTOR.UD);
  const destination = readOperand(cpu, instruction, 0, 2);
  const wanted = readOperand(cpu, instruction, 1, 2) & BigInt(RPL_MASK);
  const raise = (destination & BigInt(RPL_MASK)) < wanted;
  if (raise) {
    writeOperand(cpu, instruction, 0, 2, (destination & ~BigInt(RPL_MASK)) | wanted);
  }
  setFlag(cpu.state, RFLAGS.ZF, raise);
}

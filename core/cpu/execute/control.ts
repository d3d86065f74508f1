// Control and debug registers, and the TLB: MOV CR, MOV DR, CLTS, LMSW, SMSW, INVLPG, INVPCID.
import { type Instruction, Register } from "iced-x86";
import { CR0, CR4, VECTOR } from "../../base/registers.ts";
import {
  controlOperand,
  debugOperand,
  isControlRegister,
  isMoveToControl,
  readControl,
  writeControl,
} from "../control_registers.ts";
import type { Cpu, Flush } from "../cpu.ts";
import { invlpgAddress, invpcidOperands, lmswOperand } from "../exit_detail.ts";
import { debugException, DR6, DR7_GD } from "../debug.ts";
import { GuestFault } from "../fault.ts";
import { readRegister, writeOperand, writeRegister } from "../operands.ts";
import { isCanonical, LINEAR_ADDRESS_BITS } from "../walk.ts";

/** Bits of DR6 and DR7 that always read as one, and the bits that exist (SDM vol. 3, figure 18-1). */
const DR6_FIXED = 0xffff_0ff0n, DR6_BITS = 0xe00fn;
const DR7_FIXED = 0x400n, DR7_BITS = 0xffff_23ffn;

const PCIDE = BigInt(CR4.PCIDE);
/** What INVPCID can be asked for (SDM vol. 2, INVPCID). */
const INVPCID = { page: 0n, context: 1n, everything: 2n, contexts: 3n } as const;

/** MOV to and from a control register. */
export function moveControl(cpu: Cpu, instruction: Instruction): void {
  const number = controlOperand(instruction);
  if (!isControlRegister(number)) throw new GuestFault(VECTOR.UD);
  if (isMoveToControl(instruction)) {
    writeControl(cpu, number, readRegister(cpu.state, instruction.op1Register));
  } else writeRegister(cpu.state, instruction.op0Register, readControl(cpu.state, number));
}

/** MOV to and from a debug register. */
export function moveDebug(cpu: Cpu, instruction: Instruction): void {
  const { state } = cpu;
  if (state.debug(7) & DR7_GD) {
    // General detect: the debugger's own registers are touched. A fault, so that the image of its flags has RF.
    state.resuming = true;
    throw debugException(state, DR6.BD);
  }
  const named = debugOperand(instruction);
  if (named > 7) throw new GuestFault(VECTOR.UD);
  // DR4 and DR5 are aliases of DR6 and DR7; with CR4.DE they fault, before they come here.
  const number = named === 4 || named === 5 ? named + 2 : named;
  const to = instruction.op0Register >= Register.DR0 && instruction.op0Register <= Register.DR15;
  if (!to) return writeRegister(state, instruction.op0Register, state.debug(number));
  const value = readRegister(state, instruction.op1Register);
  if (number < 6) return state.setDebug(number, value);
  if (value >> 32n) throw new GuestFault(VECTOR.GP, 0);
  const fixed = number === 6 ? DR6_FIXED : DR7_FIXED;
  state.setDebug(number, (value & (number === 6 ? DR6_BITS : DR7_BITS)) | fixed);
}

/** CLTS. */
export function clearTaskSwitched(cpu: Cpu): void {
  writeControl(cpu, 0, cpu.state.control("cr0") & ~BigInt(CR0.TS));
}

/** Loads PE, MP, EM and TS; it can set PE, but not clear it. */
export function loadMachineStatus(cpu: Cpu, instruction: Instruction): void {
  const old = cpu.state.control("cr0");
  const value = lmswOperand(cpu, instruction) & 0xfn;
  writeControl(cpu, 0, (old & ~0xen) | value);
}

/** SMSW: 16 bits of CR0 to memory, as many as fit to a register. */
export function storeMachineStatus(cpu: Cpu, instruction: Instruction): void {
  writeOperand(cpu, instruction, 0, 2, cpu.state.control("cr0"));
}

/** INVLPG. */
export function invalidatePage(cpu: Cpu, instruction: Instruction): void {
  const linear = BigInt.asUintN(64, invlpgAddress(cpu, instruction)) & ~0xfffn;
  const { pcid } = cpu.state;
  cpu.surroundings.flushTranslations({ of: "page", pcid, linear, global: true });
  cpu.surroundings.count("tlb-flush");
}

/** INVPCID. */
export function invalidateContext(cpu: Cpu, instruction: Instruction): void {
  const { type, pcid, address } = invpcidOperands(cpu, instruction);
  const named = type === INVPCID.page || type === INVPCID.context;
  if (pcid > 0xfffn || (named && pcid !== 0n && !(cpu.state.control("cr4") & PCIDE))) {
    throw new GuestFault(VECTOR.GP, 0);
  }
  // As with other instructions of this kind, the address may have all the bits that the CPU has.
  if (type === INVPCID.page && !isCanonical(address, LINEAR_ADDRESS_BITS)) {
    throw new GuestFault(VECTOR.GP, 0);
  }
  cpu.surroundings.flushTranslations(invpcidFlush(type, Number(pcid), address));
  cpu.surroundings.count("tlb-flush");
}

function invpcidFlush(type: bigint, pcid: number, address: bigint): Flush {
  switch (type) {
    case INVPCID.page:
      return { of: "page", pcid, linear: address & ~0xfffn, global: false };
    case INVPCID.context:
      return { of: "context", pcid };
    case INVPCID.everything:
      return { of: "everything" };
    case INVPCID.contexts:
      return { of: "contexts" };
    default:
      throw new GuestFault(VECTOR.GP, 0);
  }
}

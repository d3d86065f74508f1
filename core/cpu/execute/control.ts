// Control and debug registers, and the TLB: MOV CR, MOV DR, CLTS, LMSW, SMSW, INVLPG.
import { type Instruction, Register } from "iced-x86";
import { CR0, VECTOR } from "../../base/registers.ts";
import {
  controlOperand,
  debugOperand,
  isControlRegister,
  isMoveToControl,
  readControl,
  writeControl,
} from "../control_registers.ts";
import type { Cpu } from "../cpu.ts";
import { invlpgAddress, lmswOperand } from "../exit_detail.ts";
import { GuestFault } from "../fault.ts";
import { readRegister, writeOperand, writeRegister } from "../operands.ts";

/** Bits of DR6 and DR7 that always read as one, and the bits that exist (SDM vol. 3, figure 18-1). */
const DR6_FIXED = 0xffff_0ff0n, DR6_BITS = 0xe00fn;
/** General detect in DR7, and its cause in DR6. */
const DR7_GD = 1n << 13n, DR6_BD = 1n << 13n;
const DR7_FIXED = 0x400n, DR7_BITS = 0xffff_23ffn;

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
    // General detect: the debugger's own registers are touched. Its handler runs with the trap off.
    state.setDebug(6, state.debug(6) | DR6_BD);
    state.setDebug(7, state.debug(7) & ~DR7_GD);
    throw new GuestFault(VECTOR.DB);
  }
  const named = debugOperand(instruction);
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
  const address = invlpgAddress(cpu, instruction);
  cpu.surroundings.flushTranslations(BigInt.asUintN(64, address) & ~0xfffn);
  cpu.surroundings.count("tlb-flush");
}

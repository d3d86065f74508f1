// Which instructions of an intercepted kind leave the guest all the same, and which don't: a VMM under VT-x gives away what
// it has no use for. Guest/host masks of CR0 and CR4 (SDM vol. 3, 26.1.3) and the MSR bitmaps (SDM vol. 3, 25.6.9).
import type { Instruction } from "iced-x86";
import { controlOperand, isMoveToControl } from "./control_registers.ts";
import type { Cpu } from "./cpu.ts";
import { lmswOperand } from "./exit_detail.ts";
import { readRegister } from "./operands.ts";
import type { SensitiveOperation } from "./sensitive_operations.ts";

/** What the VMM keeps for itself. */
export interface Intercepts {
  /** Bits of CR0 that are the VMM's: a write exits if it would change one. The others are the guest's own. */
  readonly cr0: bigint;
  /** The same of CR4. */
  readonly cr4: bigint;
  /** MSRs that RDMSR may read without an exit. */
  readonly readableMsrs: ReadonlySet<number>;
  /** MSRs that WRMSR may write without an exit. */
  readonly writableMsrs: ReadonlySet<number>;
}

const RCX = 1;
/** LMSW writes PE, MP, EM and TS, and never clears PE. */
const PE = 1n, MP_EM_TS = 0xen;

/**
 * Does this instruction, of a kind that is intercepted, leave the guest? Privilege has been checked. Throws the `GuestFault`
 * of LMSW's operand.
 */
export function isIntercepted(
  cpu: Cpu,
  instruction: Instruction,
  operation: SensitiveOperation,
  { cr0, cr4, readableMsrs, writableMsrs }: Intercepts,
): boolean {
  const { state } = cpu;
  const written = () => readRegister(state, instruction.op1Register);
  const msr = () => Number(BigInt.asUintN(32, state.gpr(RCX)));
  switch (operation) {
    case "mov-to-cr0":
      // Registers that do not exist are of this row too.
      return controlOperand(instruction) !== 0 ||
        ((written() ^ state.control("cr0")) & cr0) !== 0n;
    case "mov-to-cr4":
      return ((written() ^ state.control("cr4")) & cr4) !== 0n;
    case "lmsw": {
      const value = lmswOperand(cpu, instruction);
      const changed = (value ^ state.control("cr0")) & (MP_EM_TS | value & PE);
      return (changed & cr0) !== 0n;
    }
    case "mov-cr8":
      // The TPR threshold watches what the guest writes; reads are the virtual-APIC page's.
      return isMoveToControl(instruction);
    case "rdmsr":
      return !readableMsrs.has(msr());
    case "wrmsr":
      return !writableMsrs.has(msr());
    default:
      return true;
  }
}

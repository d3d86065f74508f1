// The checks that come before a VM exit: what the architecture refuses, it refuses also in a virtual machine
// (SDM vol. 3, 26.1.1).
import { type Instruction, Mnemonic } from "iced-x86";
import { CR0, CR4, EFER, RFLAGS, VECTOR } from "../base/registers.ts";
import { debugOperand } from "./control_registers.ts";
import type { Cpu } from "./cpu.ts";
import { GuestFault } from "./fault.ts";
import { isRealLike, isVirtual8086 } from "./linear.ts";
import { checkPort, isIdleRepeat, portAccess } from "./ports.ts";
import type { SensitiveOperation } from "./sensitive_operations.ts";
import type { CpuState } from "./state.ts";
import { ownsVirtualInterrupts, seesVirtualFlags } from "./virtual_interrupts.ts";

const undefinedOpcode = () => new GuestFault(VECTOR.UD);
const refused = () => new GuestFault(VECTOR.GP, 0);

/**
 * Throws the `GuestFault` that an instruction raises, in this mode and at this privilege level, before anything else about
 * it is looked at. Checks that need its operands in memory are made when it is executed.
 */
export function checkPrivilege(
  cpu: Cpu,
  instruction: Instruction,
  operation: SensitiveOperation,
): void {
  const { state } = cpu;
  switch (operation) {
    case "port-io":
      if (!isIdleRepeat(state, instruction)) checkPort(cpu, portAccess(state, instruction));
      return;
    case "hlt":
    case "invd":
    case "wbinvd":
    case "clts":
    case "lmsw":
    case "invlpg":
    case "lgdt-lidt":
    case "rdmsr":
    case "wrmsr":
    case "mov-from-cr":
    case "mov-from-cr3":
    case "mov-to-cr0":
    case "mov-to-cr2":
    case "mov-to-cr3":
    case "mov-to-cr4":
    case "mov-cr8":
      return requireKernel(state);
    case "mov-dr":
      if (has(state, "cr4", CR4.DE) && [4, 5].includes(debugOperand(instruction))) {
        throw undefinedOpcode();
      }
      return requireKernel(state);
    case "rdtsc":
    case "rdtscp":
      return has(state, "cr4", CR4.TSD) ? requireKernel(state) : undefined;
    case "rdpmc":
      return has(state, "cr4", CR4.PCE) ? undefined : requireKernel(state);
    case "lldt-ltr":
      if (isRealLike(state)) throw undefinedOpcode();
      return requireKernel(state);
    case "sldt-str":
      if (isRealLike(state)) throw undefinedOpcode();
      return checkUserModePrevention(state);
    case "smsw":
    case "sgdt-sidt":
      return checkUserModePrevention(state);
    case "lar-lsl-verr-verw":
      if (isRealLike(state)) throw undefinedOpcode();
      return;
    case "cli-sti":
      if (
        has(state, "cr0", CR0.PE) && state.cpl > iopl(state) && !ownsVirtualInterrupts(state)
      ) {
        throw refused();
      }
      return;
    case "pushf":
    case "popf":
    case "iret":
      return isNarrow(instruction) && seesVirtualFlags(state) ? undefined : checkVirtual8086(state);
    case "int-n":
      // INT3, INTO and INT1 have no such check.
      // With VME, its bit in the TSS decides: where it is executed.
      return instruction.mnemonic === Mnemonic.Int && !seesVirtualFlags(state)
        ? checkVirtual8086(state)
        : undefined;
    case "syscall":
      return instruction.mnemonic === Mnemonic.Sysenter
        ? requireProtected(state)
        : requireSyscall(state);
    case "sysret":
      if (
        instruction.mnemonic === Mnemonic.Sysret || instruction.mnemonic === Mnemonic.Sysretq
      ) {
        requireSyscall(state);
      } else requireProtected(state);
      return requireKernel(state);
    case "swapgs":
      if (state.bitness !== 64) throw undefinedOpcode();
      return requireKernel(state);
    case "xsetbv":
      if (!has(state, "cr4", CR4.OSXSAVE)) throw undefinedOpcode();
      return requireKernel(state);
    case "monitor-mwait":
      if (state.cpl !== 0) throw undefinedOpcode();
      return;
    case "cpuid":
    case "segment-load":
    case "segment-store":
    case "far-transfer":
    case "task-switch":
    case "vmcall":
    case "pause":
    case "indirect-branch":
      return;
    default:
      return operation satisfies never;
  }
}

function has(state: CpuState, register: "cr0" | "cr4" | "efer", bit: number): boolean {
  return (state.control(register) & BigInt(bit)) !== 0n;
}

/** I/O privilege level, 0 to 3. */
export function iopl(state: CpuState): number {
  return (state.systemFlags & RFLAGS.IOPL) >> 12;
}

function requireKernel(state: CpuState): void {
  if (state.cpl !== 0) throw refused();
}

function requireProtected(state: CpuState): void {
  if (!has(state, "cr0", CR0.PE)) throw refused();
}

/** As on Intel's CPUs, SYSCALL and SYSRET exist in 64-bit mode only. */
function requireSyscall(state: CpuState): void {
  if (state.bitness !== 64 || !has(state, "efer", EFER.SCE)) throw undefinedOpcode();
}

/** An operand size of 16 bits? */
function isNarrow({ mnemonic }: Instruction): boolean {
  return [Mnemonic.Pushf, Mnemonic.Popf, Mnemonic.Iret].includes(mnemonic);
}

function checkVirtual8086(state: CpuState): void {
  if (isVirtual8086(state) && iopl(state) < 3) throw refused();
}

/** UMIP: the instructions that let user mode see system state are refused. */
function checkUserModePrevention(state: CpuState): void {
  if (has(state, "cr4", CR4.UMIP)) requireKernel(state);
}

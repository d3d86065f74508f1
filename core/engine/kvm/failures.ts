// What ends a guest that KVM can't go on with: a failure of KVM's, or what this host is known not to have.
import { EFER } from "../../base/registers.ts";
import { MSR } from "../../cpu/msr.ts";
import { disassemble } from "../../trace/disassemble.ts";
import { EngineFailure, SubjectLacks } from "../lacks.ts";
import { KVM_EXIT, KVM_INTERNAL_ERROR_EMULATION, STRUCT } from "./abi.ts";
import { type GuestCode, MAX_INSTRUCTION } from "./code.ts";
import { emulationGap, shutdownGap } from "./pvm.ts";
import type { SharedRegisters } from "./registers.ts";
import type { CpuSettings } from "./settings.ts";

const RUN = STRUCT.kvm_run.fields;

function instructionAt(registers: SharedRegisters, code: GuestCode): string {
  const rip = registers.linearRip;
  return disassemble(code.bytes(rip, MAX_INSTRUCTION), registers.bitness, rip);
}

/** Is a triple fault what PVM makes of something that it has not? */
export function shutdownLack(
  registers: SharedRegisters,
  code: GuestCode,
  settings: CpuSettings,
  pvm: boolean,
): SubjectLacks | undefined {
  if (!pvm) return undefined;
  const gap = shutdownGap({
    instruction: instructionAt(registers, code),
    cpl: registers.cpl,
    long: (registers.get("efer") & BigInt(EFER.LMA)) !== 0n,
    entered: registers.linearRip === settings.getMsr(MSR.LSTAR),
  });
  return gap === undefined ? undefined : new SubjectLacks(gap);
}

/** What to throw for an exit that nobody can go on from. */
export function failureOf(
  reason: number,
  page: DataView,
  registers: SharedRegisters,
  code: GuestCode,
  pvm: boolean,
): EngineFailure | SubjectLacks {
  if (reason === KVM_EXIT.FAIL_ENTRY) {
    const why = page.getBigUint64(RUN["fail_entry.hardware_entry_failure_reason"], true);
    return new EngineFailure(`The CPU refused the guest's state: reason 0x${why.toString(16)}`);
  }
  if (reason !== KVM_EXIT.INTERNAL_ERROR) {
    return new EngineFailure(`KVM left the guest for reason ${reason}, which nothing asked for`);
  }
  const suberror = page.getUint32(RUN["internal.suberror"], true);
  const instruction = instructionAt(registers, code);
  if (pvm && suberror === KVM_INTERNAL_ERROR_EMULATION) {
    return new SubjectLacks(emulationGap(instruction));
  }
  const at = instruction ? ` at ${instruction}` : "";
  return new EngineFailure(`KVM failed with internal error ${suberror}${at}`);
}

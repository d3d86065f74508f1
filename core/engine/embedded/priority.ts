// CR8 is the local APIC's task priority, where the board has one: it is read from there, and a write goes there.
import { isMoveToControl } from "../../cpu/control_registers.ts";
import type { CpuState } from "../../cpu/state.ts";
import type { LocalApicRegisters } from "../vcpu.ts";
import type { SlowInstruction } from "./slow_instructions.ts";

export class TaskPriority {
  readonly #state: CpuState;
  readonly #apic: LocalApicRegisters | undefined;

  constructor(state: CpuState, apic: LocalApicRegisters | undefined) {
    this.#state = state;
    this.#apic = apic;
  }

  /** Into CR8. */
  load(): void {
    if (this.#apic) this.#state.setControl("cr8", BigInt(this.#apic.priorityClass));
  }

  /** Out of CR8. */
  store(): void {
    if (this.#apic) this.#apic.priorityClass = Number(this.#state.control("cr8"));
  }

  /** Has this instruction moved it? After an MSR's write, too, other interrupts may come through. */
  followed({ operation, insn }: SlowInstruction): boolean {
    if (!this.#apic) return false;
    if (operation === "wrmsr") return true;
    if (operation !== "mov-cr8" || !isMoveToControl(insn)) return false;
    this.store();
    return true;
  }
}

// A local APIC (SDM vol. 3, chapter 11) by its registers. As a device it is the memory page of xAPIC mode; `lapic_msrs.ts` has
// its MSRs. A monitor may end interrupts for it (PV EOI).
import type { AccessSize, Device, DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { readCommand } from "./lapic_command.ts";
import { LAPIC_RESET, LapicCore } from "./lapic_core.ts";
import { logicalId } from "./lapic_names.ts";
import {
  ESR,
  ICR,
  LAPIC_REGISTER as R,
  LAPIC_VERSION,
  LVT,
  LVT_MASKED,
  LVT_WRITABLE,
  SVR_WRITABLE,
} from "./lapic_registers.ts";

export class Lapic extends LapicCore implements Device {
  /** Registers are read as aligned 32-bit words; anything else is undefined, and reads as 0 here. */
  read(offset: number, size: AccessSize): number {
    return size === 4 ? this.register(offset) ?? this.#illegal() : 0;
  }

  #illegal(): number {
    this.error(ESR.IllegalRegister);
    return 0;
  }

  /** A register by its offset in the page; undefined: there is none. */
  register(offset: number): number | undefined {
    const s = this.state;
    const slot = (offset & 0x70) >> 4;
    switch (offset) {
      case R.ID:
        return this.isX2apic ? s.id : s.id << 24 >>> 0;
      case R.Version:
        return LAPIC_VERSION;
      case R.TPR:
        return this.taskPriority;
      case R.APR: // No arbitration on integrated APICs.
      case R.EOI: // Write-only.
        return 0;
      case R.PPR:
        return this.processorPriority;
      case R.LDR:
        return this.isX2apic ? logicalId(s.id) : s.ldr;
      case R.DFR:
        return s.dfr;
      case R.SVR:
        return s.svr;
      case R.ESR:
        return s.esr;
      case R.ICRLow:
        return s.icrLow;
      case R.ICRHigh:
        return s.icrHigh;
      case R.InitialCount:
        return this.timer.initial;
      case R.CurrentCount:
        return this.timer.current;
      case R.DivideConfiguration:
        return this.timer.divide;
    }
    if ((offset & 0xf) !== 0) return undefined;
    switch (offset & ~0x7f) {
      case R.ISR:
        return this.priorities.isr.word(slot);
      case R.TMR:
        return this.priorities.tmr.word(slot);
      case R.IRR:
        return this.priorities.irr.word(slot);
    }
    return s.lvt[(offset - R.LVT) >> 4];
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (size !== 4) return;
    const s = this.state;
    switch (offset) {
      case R.ID:
        s.id = value >>> 24;
        break;
      case R.LDR:
        s.ldr = (value & 0xff000000) >>> 0;
        break;
      case R.DFR:
        s.dfr = (value | 0x0fffffff) >>> 0;
        break;
      case R.ICRLow:
        this.command(value, s.icrHigh);
        break;
      case R.ICRHigh:
        s.icrHigh = (value & 0xff000000) >>> 0;
        break;
      default:
        this.setRegister(offset, value);
    }
  }

  /** Those registers that are the same in both modes. */
  setRegister(offset: number, value: number): void {
    const s = this.state;
    switch (offset) {
      case R.TPR:
        this.taskPriority = value;
        break;
      case R.EOI:
        this.endOfInterrupt();
        break;
      case R.SVR:
        s.svr = value & SVR_WRITABLE;
        // Disabled by software, the whole local vector table is masked (SDM vol. 3, 11.4.7.2).
        if (!this.enabled) s.lvt = s.lvt.map((entry) => entry | LVT_MASKED);
        this.#configureTimer();
        break;
      case R.ESR:
        s.esr = s.errors;
        s.errors = 0;
        break;
      case R.InitialCount:
        this.timer.initial = value;
        break;
      case R.DivideConfiguration:
        this.timer.divide = value;
        break;
      default:
        this.#writeLvt(offset, value);
    }
  }

  #writeLvt(offset: number, value: number): void {
    const index = (offset - R.LVT) / 16;
    const writable = LVT_WRITABLE[index];
    if (writable === undefined) return this.error(ESR.IllegalRegister);
    // While disabled by software the mask stays set; LINT0 alone starts without it.
    const mask = this.enabled ? 0 : LVT_MASKED;
    this.state.lvt[index] = value & writable | mask;
    if (index === LVT.Timer) this.#configureTimer();
  }

  #configureTimer(): void {
    const entry = this.state.lvt[LVT.Timer] ?? LVT_MASKED;
    this.timer.configure(entry >> 17 & 3, (entry & LVT_MASKED) !== 0);
  }

  /** The interrupt command register is written: an interprocessor interrupt goes out. */
  command(low: number, high: number): void {
    this.keepCommand((low & ICR.writable) >>> 0, high >>> 0);
    const command = readCommand(low, high, this.isX2apic);
    switch (command.to) {
      case "nobody":
        return;
      case "illegal":
        return this.error(ESR.SendIllegalVector);
      case "named":
        return this.messages.send(command.message);
      case "self":
        return this.receive(command.message);
      case "all":
        return this.messages.broadcast(command.message);
      case "others":
        return this.messages.broadcast(command.message, this);
      default:
        return command.to satisfies never;
    }
  }

  /** What reads as the last command, where one was sent by another way. */
  keepCommand(low: number, high: number): void {
    this.state.icrLow = low;
    this.state.icrHigh = high;
  }

  save(): DeviceState {
    return {
      ...structuredClone(this.state),
      base: String(this.base),
      timer: this.timer.save(),
      priorities: this.priorities.save(),
    };
  }

  restore(state: DeviceState): void {
    const { base, timer, priorities, ...rest } = restored(
      {
        ...LAPIC_RESET,
        base: "",
        timer: this.timer.save(),
        priorities: this.priorities.save(),
      },
      state,
    );
    if (!/^\d{1,20}$/.test(base)) throw new TypeError("Saved state.base must be a number");
    this.setBase(BigInt(base));
    this.state = rest;
    this.timer.restore(timer);
    this.priorities.restore(priorities);
  }
}

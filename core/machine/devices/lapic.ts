// The local APIC of the one CPU there is, in xAPIC mode (SDM vol. 3, chapter 11): priorities, its timer, interrupts to
// itself, and the PIC behind LINT0. A monitor may end interrupts for it (PV EOI).
import type { AlarmClock } from "../../base/clock.ts";
import type { AccessSize, Device, DeviceState, InterruptController } from "../device.ts";
import { restored } from "../saved_state.ts";
import {
  DELIVERY,
  deliveryMode,
  ESR,
  LAPIC_REGISTER as R,
  LAPIC_VERSION,
  LVT,
  LVT_MASKED,
  LVT_WRITABLE,
  SVR_ENABLE,
  SVR_WRITABLE,
} from "./lapic_registers.ts";
import { LapicTimer } from "./lapic_timer.ts";
import { VectorSet } from "./vector_set.ts";

/** Bytes of its memory page. */
export const LAPIC_LENGTH = 0x1000;

/** Vectors below are the CPU's own. */
const FIRST_VECTOR = 16;
/** ICR destination shorthands, bits 19:18. */
const TO_NAMED = 0, TO_SELF = 1, TO_ALL = 2;
const ICR_LOGICAL = 0x800;
/** ICR bits that are kept; delivery status reads as idle. */
const ICR_WRITABLE = 0xccfff;

const RESET = {
  id: 0,
  tpr: 0,
  ldr: 0,
  dfr: 0xffffffff,
  svr: 0xff,
  icrLow: 0,
  icrHigh: 0,
  esr: 0,
  /** Errors since ESR was last written. */
  errors: 0,
  /** All masked but LINT0: there is no firmware to connect the PIC, so it is connected (virtual wire mode). */
  lvt: [
    LVT_MASKED,
    LVT_MASKED,
    LVT_MASKED,
    DELIVERY.ExtINT << 8 as number,
    LVT_MASKED,
    LVT_MASKED,
  ],
};

export interface LapicOptions {
  readonly clock: AlarmClock;
  /** The controller behind LINT0, for interrupts that it brings by itself (ExtINT). */
  readonly pic?: InterruptController;
}

export class Lapic implements Device, InterruptController {
  readonly timer: LapicTimer;
  readonly #pic: InterruptController | undefined;
  #state = structuredClone(RESET);
  readonly #isr = new VectorSet();
  readonly #irr = new VectorSet();

  /** Told of every end of interrupt, with its vector, however it came about. */
  onEoi: ((vector: number) => void) | undefined;
  /** Told when the guest sends itself an NMI. */
  onNmi: (() => void) | undefined;

  constructor({ clock, pic }: LapicOptions) {
    this.timer = new LapicTimer(clock, () => this.#local(LVT.Timer));
    this.#pic = pic;
  }

  /** An edge-triggered interrupt with this vector, as from an I/O APIC or another CPU. */
  deliver(vector: number): void {
    if (!this.#enabled) return;
    if (vector < FIRST_VECTOR || vector > 255) return this.#error(ESR.ReceiveIllegalVector);
    this.#irr.set(vector, true);
  }

  pending(): boolean {
    return this.#external() || this.#deliverable() >= 0;
  }

  /** The PIC's interrupts come first: they know no priority here. */
  acknowledge(): number {
    if (this.#external()) return this.#pic?.acknowledge() ?? this.#spurious;
    const vector = this.#deliverable();
    if (vector < 0) return this.#spurious;
    this.#irr.set(vector, false);
    this.#isr.set(vector, true);
    return vector;
  }

  /** What a write to the EOI register does. Tells the vector that is done, or undefined when none was in service. */
  endOfInterrupt(): number | undefined {
    const vector = this.#isr.highest();
    if (vector < 0) return undefined;
    this.#isr.set(vector, false);
    this.onEoi?.(vector);
    return vector;
  }

  /** The highest vector in service, or undefined. */
  get inService(): number | undefined {
    const vector = this.#isr.highest();
    return vector < 0 ? undefined : vector;
  }

  /** The task priority register, 0 to 255; CR8 is its upper four bits. */
  get taskPriority(): number {
    return this.#state.tpr;
  }
  set taskPriority(value: number) {
    this.#state.tpr = value & 0xff;
  }

  /** Processor priority: what a vector's class must be above (SDM vol. 3, 11.8.3.1). */
  get #ppr(): number {
    const { tpr } = this.#state;
    const served = Math.max(0, this.#isr.highest());
    return tpr >> 4 >= served >> 4 ? tpr : served & 0xf0;
  }

  get #enabled(): boolean {
    return (this.#state.svr & SVR_ENABLE) !== 0;
  }

  get #spurious(): number {
    return this.#state.svr & 0xff;
  }

  /** The vector to be served next, or -1. */
  #deliverable(): number {
    const vector = this.#irr.highest();
    return vector >> 4 > this.#ppr >> 4 ? vector : -1;
  }

  /** Does the PIC have an interrupt, and LINT0 let it through? */
  #external(): boolean {
    const lint0 = this.#state.lvt[LVT.LINT0] ?? 0;
    return (lint0 & LVT_MASKED) === 0 && deliveryMode(lint0) === DELIVERY.ExtINT &&
      this.#pic?.pending() === true;
  }

  /** A local interrupt source asks. */
  #local(index: number): void {
    const entry = this.#state.lvt[index] ?? LVT_MASKED;
    if (entry & LVT_MASKED) return;
    if (deliveryMode(entry) === DELIVERY.NMI) this.onNmi?.();
    else this.deliver(entry & 0xff);
  }

  #error(bit: number): void {
    const s = this.#state;
    s.errors |= bit;
    // An error entry with an illegal vector of its own must not tell of itself for ever.
    const entry = s.lvt[LVT.Error] ?? LVT_MASKED;
    if ((entry & 0xff) >= FIRST_VECTOR) this.#local(LVT.Error);
  }

  /** Registers are read as aligned 32-bit words; anything else is undefined, and reads as 0 here. */
  read(offset: number, size: AccessSize): number {
    return size === 4 ? this.#readRegister(offset) >>> 0 : 0;
  }

  #readRegister(offset: number): number {
    const s = this.#state;
    const slot = (offset & 0x70) >> 4;
    switch (offset) {
      case R.ID:
        return s.id << 24;
      case R.Version:
        return LAPIC_VERSION;
      case R.TPR:
        return s.tpr;
      case R.APR: // No arbitration on integrated APICs.
      case R.EOI: // Write-only.
        return 0;
      case R.PPR:
        return this.#ppr;
      case R.LDR:
        return s.ldr;
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
    if ((offset & 0xf) === 0) {
      switch (offset & ~0x7f) {
        case R.ISR:
          return this.#isr.word(slot);
        case R.TMR:
          return 0; // All edge-triggered: there is no I/O APIC.
        case R.IRR:
          return this.#irr.word(slot);
      }
      const entry = s.lvt[(offset - R.LVT) >> 4];
      if (entry !== undefined) return entry;
    }
    this.#error(ESR.IllegalRegister);
    return 0;
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (size !== 4) return;
    const s = this.#state;
    switch (offset) {
      case R.ID:
        s.id = value >>> 24;
        break;
      case R.TPR:
        s.tpr = value & 0xff;
        break;
      case R.EOI:
        this.endOfInterrupt();
        break;
      case R.LDR:
        s.ldr = (value & 0xff000000) >>> 0;
        break;
      case R.DFR:
        s.dfr = (value | 0x0fffffff) >>> 0;
        break;
      case R.SVR:
        s.svr = value & SVR_WRITABLE;
        // Disabled by software, the whole local vector table is masked (SDM vol. 3, 11.4.7.2).
        if (!this.#enabled) s.lvt = s.lvt.map((entry) => entry | LVT_MASKED);
        this.#configureTimer();
        break;
      case R.ESR:
        s.esr = s.errors;
        s.errors = 0;
        break;
      case R.ICRLow:
        s.icrLow = value & ICR_WRITABLE;
        this.#send();
        break;
      case R.ICRHigh:
        s.icrHigh = (value & 0xff000000) >>> 0;
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
    if (writable === undefined) return this.#error(ESR.IllegalRegister);
    // While disabled by software the mask stays set; LINT0 alone starts without it.
    const mask = this.#enabled ? 0 : LVT_MASKED;
    this.#state.lvt[index] = value & writable | mask;
    if (index === LVT.Timer) this.#configureTimer();
  }

  #configureTimer(): void {
    const entry = this.#state.lvt[LVT.Timer] ?? LVT_MASKED;
    this.timer.configure(entry >> 17 & 3, (entry & LVT_MASKED) !== 0);
  }

  /** An interprocessor interrupt. There is one processor: what is not for it is for nobody. */
  #send(): void {
    const { icrLow } = this.#state;
    if (!this.#reachesSelf()) return;
    switch (deliveryMode(icrLow)) {
      case DELIVERY.Fixed:
      case DELIVERY.Lowest:
        if ((icrLow & 0xff) < FIRST_VECTOR) this.#error(ESR.SendIllegalVector);
        else this.deliver(icrLow & 0xff);
        break;
      case DELIVERY.NMI:
        this.onNmi?.();
        break;
    }
  }

  #reachesSelf(): boolean {
    const { icrLow, icrHigh, id, ldr, dfr } = this.#state;
    const destination = icrHigh >>> 24;
    switch (icrLow >> 18 & 3) {
      case TO_NAMED:
        if ((icrLow & ICR_LOGICAL) === 0) return destination === id || destination === 0xff;
        // Flat model: a bit each. Cluster model: cluster in the upper half, a bit each in the lower (11.6.2.2).
        if (dfr >>> 28 === 0xf) return (destination & ldr >>> 24) !== 0;
        return destination >> 4 === ldr >>> 28 && (destination & ldr >>> 24 & 0xf) !== 0;
      case TO_SELF:
      case TO_ALL:
        return true;
      default:
        return false;
    }
  }

  save(): DeviceState {
    return {
      ...structuredClone(this.#state),
      timer: this.timer.save(),
      isr: this.#isr.save(),
      irr: this.#irr.save(),
    };
  }

  restore(state: DeviceState): void {
    const { timer, isr, irr, ...rest } = restored(
      {
        ...RESET,
        timer: this.timer.save(),
        isr: this.#isr.save(),
        irr: this.#irr.save(),
      },
      state,
    );
    this.#state = rest;
    this.timer.restore(timer);
    this.#isr.restore(isr);
    this.#irr.restore(irr);
  }
}

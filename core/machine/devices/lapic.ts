// A local APIC (SDM vol. 3, chapter 11): priorities, its timer, interrupts between processors, and the PIC behind LINT0. As
// a device it is the memory page of xAPIC mode; `lapic_msrs.ts` has its MSRs. A monitor may end interrupts for it (PV EOI).
import type { AlarmClock } from "../../base/clock.ts";
import { LAPIC_BASE } from "../../guest/layout.ts";
import type { AccessSize, Device, DeviceState, InterruptController } from "../device.ts";
import {
  type InterruptMessage,
  InterruptMessages,
  type MessageTarget,
} from "../interrupt_messages.ts";
import { restored } from "../saved_state.ts";
import {
  APIC_BASE,
  DELIVERY,
  deliveryMode,
  ESR,
  FIRST_VECTOR,
  ICR,
  LAPIC_REGISTER as R,
  LAPIC_VERSION,
  LVT,
  LVT_MASKED,
  LVT_WRITABLE,
  SVR_ENABLE,
  SVR_WRITABLE,
} from "./lapic_registers.ts";
import { readCommand } from "./lapic_command.ts";
import { logicalId, names } from "./lapic_names.ts";
import { LapicPriorities } from "./lapic_priorities.ts";
import { LapicTimer } from "./lapic_timer.ts";

/** Bytes of its memory page. */
export const LAPIC_LENGTH = 0x1000;

const RESET = {
  id: 0,
  ldr: 0,
  dfr: 0xffffffff,
  svr: 0xff,
  icrLow: 0,
  icrHigh: 0,
  esr: 0,
  /** Errors since ESR was last written. */
  errors: 0,
  lvt: new Array<number>(6).fill(LVT_MASKED),
  /** An INIT has come and the CPU has not seen it; it waits for a start-up message; and the vector of that, or -1. */
  init: false,
  waiting: false,
  startUp: -1,
};

export interface LapicOptions {
  readonly clock: AlarmClock;
  /** The controller behind LINT0, for interrupts that it brings by itself (ExtINT). */
  readonly pic?: InterruptController;
  /** Its number among the CPUs, and so its APIC id; 0 is the bootstrap processor, and the default. */
  readonly id?: number;
  /** How it reaches other CPUs; absent: it is alone. */
  readonly messages?: InterruptMessages;
}

/** What an INIT or start-up message wants of the CPU. */
export type Signal = { readonly is: "init" } | {
  readonly is: "start-up";
  readonly vector: number;
};

export class Lapic implements Device, InterruptController, MessageTarget {
  readonly timer: LapicTimer;
  /** What CPUID says, whatever is written to the register. */
  readonly initialId: number;
  readonly #pic: InterruptController | undefined;
  readonly #messages: InterruptMessages;
  /** IA32_APIC_BASE, and what it says. */
  #base = 0n;
  /** Enabled globally: else the CPU is as one that has none. */
  isPresent = true;
  isX2apic = false;
  /** Where its memory page is, if it has one now. */
  page: number | undefined;
  #state = structuredClone(RESET);
  readonly #priorities = new LapicPriorities();

  /** Told of every end of interrupt, with its vector, however it came about. */
  onEoi: ((vector: number) => void) | undefined;
  /** Told when an NMI comes. */
  onNmi: (() => void) | undefined;

  constructor({ clock, pic, id = 0, messages = new InterruptMessages() }: LapicOptions) {
    this.timer = new LapicTimer(clock, () => this.#local(LVT.Timer));
    this.#pic = pic;
    this.initialId = id;
    this.#messages = messages;
    messages.join(this);
    const s = this.#state;
    const bootstrap = id === 0 ? APIC_BASE.bootstrap : 0;
    this.#setBase(BigInt(LAPIC_BASE + (APIC_BASE.enabled | bootstrap)));
    this.#reset();
    // There is no firmware to connect the PIC, so it is connected (virtual wire mode).
    if (pic) s.lvt[LVT.LINT0] = DELIVERY.ExtINT << 8;
    // Nor to start the others, which wait for a start-up message from power-on (9.4.2).
    s.waiting = id !== 0;
  }

  // ---- Mode --------------------------------------------------------------------------------------------------------

  /** IA32_APIC_BASE. */
  get base(): bigint {
    return this.#base;
  }
  /** `lapic_msrs.ts` checks what may be written. Switched off, it forgets all but its mode. */
  set base(value: bigint) {
    const before = this.isX2apic;
    this.#setBase(value);
    if (!this.isPresent) this.#reset();
    else if (this.isX2apic && !before) {
      this.#state.id = this.initialId;
      this.#state.icrHigh = 0;
    }
  }

  #setBase(value: bigint): void {
    this.#base = value;
    const bit = (bits: number) => (value & BigInt(bits)) !== 0n;
    this.isPresent = bit(APIC_BASE.enabled);
    this.isX2apic = bit(APIC_BASE.x2apic);
    this.page = this.isPresent && !this.isX2apic ? Number(value & ~0xfffn) : undefined;
  }

  /** 32 bits in x2APIC mode, 8 otherwise. */
  get id(): number {
    return this.#state.id;
  }

  /** SDM vol. 3, 11.4.7.1 and .3; the mode stays. */
  #reset(): void {
    const { waiting, startUp, init } = this.#state;
    const fresh = structuredClone(RESET);
    Object.assign(this.#state, fresh, { waiting, startUp, init, id: this.initialId });
    this.#priorities.reset();
    this.timer.reset();
  }

  // ---- Messages ------------------------------------------------------------------------------------------------------

  isNamed(message: InterruptMessage): boolean {
    const { ldr, dfr } = this.#state;
    return this.isPresent && names(message, { id: this.id, ldr, dfr, isX2apic: this.isX2apic });
  }

  get acceptsInterrupts(): boolean {
    return this.#enabled;
  }

  receive({ mode, vector, levelTriggered }: Parameters<MessageTarget["receive"]>[0]): void {
    switch (mode) {
      case DELIVERY.Fixed:
      case DELIVERY.Lowest:
        return this.deliver(vector, levelTriggered);
      case DELIVERY.NMI:
        return this.onNmi?.();
      case DELIVERY.INIT:
        this.#state.init = true;
        this.#state.startUp = -1;
        return;
      case DELIVERY.StartUp:
        // Nobody else listens, and one is enough (9.4.4).
        if (!this.#state.init && !this.#state.waiting) return;
        if (this.#state.startUp < 0) this.#state.startUp = vector;
        return;
    }
  }

  /** Is there one of those that `takeSignal` tells? */
  get signalled(): boolean {
    return this.#state.init || this.#state.startUp >= 0;
  }
  /** Does the CPU do nothing until it is started up? */
  get waitsForStartUp(): boolean {
    return this.#state.waiting;
  }

  /** What the CPU has to do now; undefined: go on as it is. The bootstrap processor does not wait after an INIT. */
  takeSignal(): Signal | undefined {
    const s = this.#state;
    if (s.init) {
      s.init = false;
      s.waiting = (this.#base & BigInt(APIC_BASE.bootstrap)) === 0n;
      this.#reset();
      return { is: "init" };
    }
    if (s.startUp < 0) return undefined;
    const vector = s.startUp;
    s.startUp = -1;
    s.waiting = false;
    return { is: "start-up", vector };
  }

  /** An interrupt with this vector, as from an I/O APIC or another CPU. */
  deliver(vector: number, levelTriggered = false): void {
    if (!this.#enabled) return;
    if (vector < FIRST_VECTOR || vector > 255) return this.#error(ESR.ReceiveIllegalVector);
    this.#priorities.request(vector, levelTriggered);
  }

  // ---- The CPU's side ------------------------------------------------------------------------------------------------

  pending(): boolean {
    return this.#external() || this.#priorities.next >= 0;
  }

  /** The PIC's interrupts come first: they know no priority here. */
  acknowledge(): number {
    if (this.#external()) return this.#pic?.acknowledge() ?? this.#spurious;
    const vector = this.#priorities.next;
    if (vector < 0) return this.#spurious;
    this.#priorities.serve(vector);
    return vector;
  }

  /** What a write to the EOI register does. Tells the vector that is done, or undefined when none was in service. */
  endOfInterrupt(): number | undefined {
    const vector = this.#priorities.end();
    if (vector !== undefined) this.onEoi?.(vector);
    return vector;
  }

  /** The highest vector in service, or undefined. */
  get inService(): number | undefined {
    const vector = this.#priorities.isr.highest();
    return vector < 0 ? undefined : vector;
  }

  /** The task priority register, 0 to 255; CR8 is its upper four bits. */
  get taskPriority(): number {
    return this.#priorities.tpr;
  }
  set taskPriority(value: number) {
    this.#priorities.tpr = value & 0xff;
  }

  /** Does an interrupt wait for the guest to lower its task priority? */
  get waitsForPriority(): boolean {
    return this.taskPriority > 0 && this.#priorities.irr.highest() >= 0 && !this.pending();
  }

  get processorPriority(): number {
    return this.#priorities.ppr;
  }

  get #enabled(): boolean {
    return this.isPresent && (this.#state.svr & SVR_ENABLE) !== 0;
  }

  get #spurious(): number {
    return this.#state.svr & 0xff;
  }

  /** Does the PIC have an interrupt, and LINT0 let it through? Without an APIC, it is the CPU's own pin. */
  #external(): boolean {
    if (this.#pic === undefined) return false;
    const lint0 = this.#state.lvt[LVT.LINT0] ?? 0;
    const open = (lint0 & LVT_MASKED) === 0 && deliveryMode(lint0) === DELIVERY.ExtINT;
    return (open || !this.isPresent) && this.#pic.pending();
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

  // ---- Registers -----------------------------------------------------------------------------------------------------

  /** Registers are read as aligned 32-bit words; anything else is undefined, and reads as 0 here. */
  read(offset: number, size: AccessSize): number {
    return size === 4 ? this.register(offset) ?? this.#illegal() : 0;
  }

  #illegal(): number {
    this.#error(ESR.IllegalRegister);
    return 0;
  }

  /** A register by its offset in the page; undefined: there is none. */
  register(offset: number): number | undefined {
    const s = this.#state;
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
        return this.#priorities.isr.word(slot);
      case R.TMR:
        return this.#priorities.tmr.word(slot);
      case R.IRR:
        return this.#priorities.irr.word(slot);
    }
    return s.lvt[(offset - R.LVT) >> 4];
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (size !== 4) return;
    const s = this.#state;
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
    const s = this.#state;
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
        if (!this.#enabled) s.lvt = s.lvt.map((entry) => entry | LVT_MASKED);
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

  /** The interrupt command register is written: an interprocessor interrupt goes out. */
  command(low: number, high: number): void {
    this.keepCommand((low & ICR.writable) >>> 0, high >>> 0);
    const command = readCommand(low, high, this.isX2apic);
    switch (command.to) {
      case "nobody":
        return;
      case "illegal":
        return this.#error(ESR.SendIllegalVector);
      case "named":
        return this.#messages.send(command.message);
      case "self":
        return this.receive(command.message);
      case "all":
        return this.#messages.broadcast(command.message);
      case "others":
        return this.#messages.broadcast(command.message, this);
      default:
        return command.to satisfies never;
    }
  }

  /** What reads as the last command, where one was sent by another way. */
  keepCommand(low: number, high: number): void {
    this.#state.icrLow = low;
    this.#state.icrHigh = high;
  }

  save(): DeviceState {
    return {
      ...structuredClone(this.#state),
      base: String(this.#base),
      timer: this.timer.save(),
      priorities: this.#priorities.save(),
    };
  }

  restore(state: DeviceState): void {
    const { base, timer, priorities, ...rest } = restored(
      {
        ...RESET,
        base: "",
        timer: this.timer.save(),
        priorities: this.#priorities.save(),
      },
      state,
    );
    if (!/^\d{1,20}$/.test(base)) throw new TypeError("Saved state.base must be a number");
    this.#setBase(BigInt(base));
    this.#state = rest;
    this.timer.restore(timer);
    this.#priorities.restore(priorities);
  }
}

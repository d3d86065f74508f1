// What a local APIC does, apart from its registers: its modes, messages from and to others, and what its CPU gets of them
// (SDM vol. 3, 11.4 to 11.8).
import type { AlarmClock } from "../../base/clock.ts";
import { LAPIC_BASE } from "../../guest/layout.ts";
import type { InterruptController } from "../device.ts";
import {
  type InterruptMessage,
  InterruptMessages,
  type MessageTarget,
} from "../interrupt_messages.ts";
import { names } from "./lapic_names.ts";
import { LapicPriorities } from "./lapic_priorities.ts";
import {
  APIC_BASE,
  DELIVERY,
  deliveryMode,
  ESR,
  FIRST_VECTOR,
  LVT,
  LVT_MASKED,
  SVR_ENABLE,
} from "./lapic_registers.ts";
import { LapicTimer } from "./lapic_timer.ts";

/** The registers after a reset, and what INIT and start-up messages have brought. */
export const LAPIC_RESET = {
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

export abstract class LapicCore implements InterruptController, MessageTarget {
  readonly timer: LapicTimer;
  /** What CPUID says, whatever is written to the register. */
  readonly initialId: number;
  readonly #pic: InterruptController | undefined;
  protected readonly messages: InterruptMessages;
  /** IA32_APIC_BASE, and what it says. */
  #base = 0n;
  /** Enabled globally: else the CPU is as one that has none. */
  isPresent = true;
  isX2apic = false;
  /** Where its memory page is, if it has one now. */
  page: number | undefined;
  protected state = structuredClone(LAPIC_RESET);
  protected readonly priorities = new LapicPriorities();

  /** Told of every end of interrupt, with its vector, however it came about. */
  onEoi: ((vector: number) => void) | undefined;
  /** Told when an NMI comes. */
  onNmi: (() => void) | undefined;

  constructor({ clock, pic, id = 0, messages = new InterruptMessages() }: LapicOptions) {
    this.timer = new LapicTimer(clock, () => this.#local(LVT.Timer));
    this.#pic = pic;
    this.initialId = id;
    this.messages = messages;
    messages.join(this);
    const s = this.state;
    const bootstrap = id === 0 ? APIC_BASE.bootstrap : 0;
    this.setBase(BigInt(LAPIC_BASE + (APIC_BASE.enabled | bootstrap)));
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
    this.setBase(value);
    if (!this.isPresent) this.#reset();
    else if (this.isX2apic && !before) {
      this.state.id = this.initialId;
      this.state.icrHigh = 0;
    }
  }

  protected setBase(value: bigint): void {
    this.#base = value;
    const bit = (bits: number) => (value & BigInt(bits)) !== 0n;
    this.isPresent = bit(APIC_BASE.enabled);
    this.isX2apic = bit(APIC_BASE.x2apic);
    this.page = this.isPresent && !this.isX2apic ? Number(value & ~0xfffn) : undefined;
  }

  /** 32 bits in x2APIC mode, 8 otherwise. */
  get id(): number {
    return this.state.id;
  }

  /** SDM vol. 3, 11.4.7.1 and .3; the mode stays. */
  #reset(): void {
    const { waiting, startUp, init } = this.state;
    const fresh = structuredClone(LAPIC_RESET);
    Object.assign(this.state, fresh, { waiting, startUp, init, id: this.initialId });
    this.priorities.reset();
    this.timer.reset();
  }

  // ---- Messages ------------------------------------------------------------------------------------------------------

  isNamed(message: InterruptMessage): boolean {
    const { ldr, dfr } = this.state;
    return this.isPresent && names(message, { id: this.id, ldr, dfr, isX2apic: this.isX2apic });
  }

  get acceptsInterrupts(): boolean {
    return this.enabled;
  }

  receive({ mode, vector, levelTriggered }: Parameters<MessageTarget["receive"]>[0]): void {
    switch (mode) {
      case DELIVERY.Fixed:
      case DELIVERY.Lowest:
        return this.deliver(vector, levelTriggered);
      case DELIVERY.NMI:
        return this.onNmi?.();
      case DELIVERY.INIT:
        this.state.init = true;
        this.state.startUp = -1;
        return;
      case DELIVERY.StartUp:
        // Nobody else listens, and one is enough (9.4.4).
        if (!this.state.init && !this.state.waiting) return;
        if (this.state.startUp < 0) this.state.startUp = vector;
        return;
    }
  }

  /** Is there one of those that `takeSignal` tells? */
  get signalled(): boolean {
    return this.state.init || this.state.startUp >= 0;
  }
  /** Does the CPU do nothing until it is started up? */
  get waitsForStartUp(): boolean {
    return this.state.waiting;
  }

  /** What the CPU has to do now; undefined: go on as it is. The bootstrap processor does not wait after an INIT. */
  takeSignal(): Signal | undefined {
    const s = this.state;
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
    if (!this.enabled) return;
    if (vector < FIRST_VECTOR || vector > 255) return this.error(ESR.ReceiveIllegalVector);
    this.priorities.request(vector, levelTriggered);
  }

  // ---- The CPU's side ------------------------------------------------------------------------------------------------

  pending(): boolean {
    return this.#external() || this.priorities.next >= 0;
  }

  /** The PIC's interrupts come first: they know no priority here. */
  acknowledge(): number {
    if (this.#external()) return this.#pic?.acknowledge() ?? this.#spurious;
    const vector = this.priorities.next;
    if (vector < 0) return this.#spurious;
    this.priorities.serve(vector);
    return vector;
  }

  /** What a write to the EOI register does. Tells the vector that is done, or undefined when none was in service. */
  endOfInterrupt(): number | undefined {
    const vector = this.priorities.end();
    if (vector !== undefined) this.onEoi?.(vector);
    return vector;
  }

  /** The highest vector in service, or undefined. */
  get inService(): number | undefined {
    const vector = this.priorities.isr.highest();
    return vector < 0 ? undefined : vector;
  }

  /** The task priority register, 0 to 255; CR8 is its upper four bits. */
  get taskPriority(): number {
    return this.priorities.tpr;
  }
  set taskPriority(value: number) {
    this.priorities.tpr = value & 0xff;
  }

  /** Does an interrupt wait for the guest to lower its task priority? */
  get waitsForPriority(): boolean {
    return this.taskPriority > 0 && this.priorities.irr.highest() >= 0 && !this.pending();
  }

  get processorPriority(): number {
    return this.priorities.ppr;
  }

  protected get enabled(): boolean {
    return this.isPresent && (this.state.svr & SVR_ENABLE) !== 0;
  }

  get #spurious(): number {
    return this.state.svr & 0xff;
  }

  /** Does the PIC have an interrupt, and LINT0 let it through? Without an APIC, it is the CPU's own pin. */
  #external(): boolean {
    if (this.#pic === undefined) return false;
    const lint0 = this.state.lvt[LVT.LINT0] ?? 0;
    const open = (lint0 & LVT_MASKED) === 0 && deliveryMode(lint0) === DELIVERY.ExtINT;
    return (open || !this.isPresent) && this.#pic.pending();
  }

  /** A local interrupt source asks. */
  #local(index: number): void {
    const entry = this.state.lvt[index] ?? LVT_MASKED;
    if (entry & LVT_MASKED) return;
    if (deliveryMode(entry) === DELIVERY.NMI) this.onNmi?.();
    else this.deliver(entry & 0xff);
  }

  protected error(bit: number): void {
    const s = this.state;
    s.errors |= bit;
    // An error entry with an illegal vector of its own must not tell of itself for ever.
    const entry = s.lvt[LVT.Error] ?? LVT_MASKED;
    if ((entry & 0xff) >= FIRST_VECTOR) this.#local(LVT.Error);
  }
}

// A CPU's halts where its local APIC is the kernel's: HLT does not leave KVM_RUN there. So a guest is taken from its CPU now and
// then, to see whether it has halted; if nothing in the kernel is going to wake it, its VMM skips the time until something of
// the board's does, or ends the run.
import { LAPIC_REGISTER, LVT_MASKED } from "../../machine/devices/lapic_registers.ts";
import type { LowerHalts } from "../vcpu.ts";
import { IOCTL, KVM_MP_STATE, STRUCT } from "./abi.ts";
import type { KernelControllers } from "./irqchip.ts";
import type { Libc } from "./libc.ts";

/** Nanoseconds after which a guest that computes is looked at: a thousandth of that is what it costs. */
const LOOK = 250_000;

/** IA32_TSC_DEADLINE: not zero while it is armed (SDM vol. 3, 11.5.4.1). */
const MSR_TSC_DEADLINE = 0x6e0;
/** Timer modes, in bits 17 and 18 of the timer's LVT entry (11.5.4). */
const MODE_SHIFT = 17, MODE_MASK = 3, PERIODIC = 1, DEADLINE = 2;

/** What it needs of its CPU. */
export interface HaltingCpu {
  readonly libc: Libc;
  readonly fd: number;
  /** Can an interrupt wake it? */
  interruptsEnabled(): boolean;
  getMsr(msr: number): bigint | undefined;
  /** KVM_RUN that is over before the guest gets anywhere, but finds out whether it is to wake. */
  touch(): void;
}

export class Halts implements LowerHalts {
  readonly #cpu: HaltingCpu;
  readonly #controllers: KernelControllers;
  /** Its own timer is going to wake it: there is nothing to look at until then. */
  #sleeps = false;
  /** It has been left to sleep once more, as an interrupt may be on its way. */
  #waited = false;

  constructor(cpu: HaltingCpu, controllers: KernelControllers) {
    this.#cpu = cpu;
    this.#controllers = controllers;
  }

  get #state(): number {
    const { size, fields } = STRUCT.kvm_mp_state;
    const view = new DataView(new ArrayBuffer(size));
    const { libc, fd } = this.#cpu;
    libc.ioctlWith(fd, IOCTL.KVM_GET_MP_STATE, new Uint8Array(view.buffer), "KVM_GET_MP_STATE");
    return view.getUint32(fields.mp_state, true);
  }

  get waitsForStartUp(): boolean {
    const state = this.#state;
    return state === KVM_MP_STATE.UNINITIALIZED || state === KVM_MP_STATE.INIT_RECEIVED;
  }

  /** How long it may run of so many nanoseconds, until it is looked at. */
  until(nanoseconds = Infinity): number {
    return this.#sleeps ? nanoseconds : Math.min(nanoseconds, LOOK);
  }

  /** It has been interrupted: is that for good, as far as the kernel goes? */
  look(): boolean {
    this.#controllers.look();
    const state = this.#state;
    this.#sleeps = state === KVM_MP_STATE.HALTED && this.#cpu.interruptsEnabled() &&
      this.#timerRuns;
    if (state === KVM_MP_STATE.RUNNABLE || this.#sleeps) return this.#waited = false;
    return !(this.#waited = !this.#waited && this.#controllers.unsettled);
  }

  /** It has left by itself. */
  left(): void {
    this.#sleeps = this.#waited = false;
  }

  wakes(): boolean {
    this.#controllers.settle();
    if (this.#state === KVM_MP_STATE.RUNNABLE) return true;
    this.#cpu.touch();
    return this.#state === KVM_MP_STATE.RUNNABLE;
  }

  end(): void {
    if (this.#state !== KVM_MP_STATE.HALTED) return;
    const { size } = STRUCT.kvm_mp_state;
    const { libc, fd } = this.#cpu;
    // All zeros: KVM_MP_STATE_RUNNABLE.
    libc.ioctlWith(fd, IOCTL.KVM_SET_MP_STATE, new Uint8Array(size), "KVM_SET_MP_STATE");
  }

  /** Is its local APIC's timer going to interrupt it? */
  get #timerRuns(): boolean {
    const { libc, fd } = this.#cpu;
    const view = new DataView(new ArrayBuffer(STRUCT.kvm_lapic_state.size));
    libc.ioctlWith(fd, IOCTL.KVM_GET_LAPIC, new Uint8Array(view.buffer), "KVM_GET_LAPIC");
    const register = (offset: number) => view.getUint32(offset, true);
    const entry = register(LAPIC_REGISTER.LVT);
    if (entry & LVT_MASKED) return false;
    switch (entry >> MODE_SHIFT & MODE_MASK) {
      case DEADLINE:
        return (this.#cpu.getMsr(MSR_TSC_DEADLINE) ?? 0n) !== 0n;
      case PERIODIC:
        return register(LAPIC_REGISTER.InitialCount) !== 0;
      default:
        return register(LAPIC_REGISTER.CurrentCount) !== 0;
    }
  }
}

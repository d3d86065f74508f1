// Takes a guest from its CPU when its time is up: a timer sends a signal that is blocked everywhere but inside of KVM_RUN, so
// that none is lost between two runs, and none ever runs a handler (Linux, Documentation/virt/kvm/api.rst, KVM_SET_SIGNAL_MASK).
import { IOCTL, STRUCT } from "./abi.ts";
import { KERNEL_SIGSET_SIZE, type Libc, SIG_BLOCK } from "./libc.ts";

/** A real-time signal (34 to 64 under glibc) that nobody in a Deno process uses. SIGUSR1 would open its inspector. */
export const SIGNAL = 46;
/** A timer that is set to go off this much too late (milliseconds) is not set anew: that costs more than it is worth. */
const SLACK = 0.02;

/**
 * Nanoseconds that a guest gets at least. It takes PVM some 15,000 to get into one: a guest with less would come back before it
 * has done anything, for ever where its alarms are that close to each other.
 */
const LEAST = 50_000;

/** One a thread: the signal does not say whose time is up, so machines that take turns share the timer. */
const OF_THREAD = new WeakMap<Libc, Interrupter>();

export class Interrupter {
  readonly #libc: Libc;
  readonly #set: Uint8Array<ArrayBuffer>;
  readonly #timer: bigint;
  #users = 0;
  /** Whether the timer runs: when it goes off (milliseconds of `performance.now`), and of how many nanoseconds it was set. */
  #due: number | undefined;
  #stretch = 0;

  private constructor(libc: Libc) {
    this.#libc = libc;
    this.#set = libc.signalSet(SIGNAL);
    libc.changeMask(SIG_BLOCK, this.#set);
    this.#timer = libc.createTimer(SIGNAL);
  }

  /** This thread's; dispose of it as often. */
  static of(libc: Libc): Interrupter {
    const interrupter = OF_THREAD.get(libc) ?? new Interrupter(libc);
    OF_THREAD.set(libc, interrupter);
    interrupter.#users++;
    return interrupter;
  }

  /** Lets the signal through while this CPU runs. */
  attach(vcpu: number): void {
    const mask = this.#libc.changeMask(SIG_BLOCK, this.#set);
    const at = (SIGNAL - 1) >> 3;
    mask[at] = (mask[at] ?? 0) & ~(1 << (SIGNAL - 1 & 7));
    const { size, fields } = STRUCT.kvm_signal_mask;
    const argument = new Uint8Array(size + KERNEL_SIGSET_SIZE);
    new DataView(argument.buffer).setUint32(fields.len, KERNEL_SIGSET_SIZE, true);
    argument.set(mask.subarray(0, KERNEL_SIGSET_SIZE), fields.sigset);
    this.#libc.ioctlWith(vcpu, IOCTL.KVM_SET_SIGNAL_MASK, argument, "KVM_SET_SIGNAL_MASK");
  }

  /** The next run is to end after so long; it may end earlier, by a timer that was set for an earlier one. */
  grant(wanted: number): void {
    const nanoseconds = Math.max(wanted, LEAST);
    // A timer of no longer a time is due before. The clock costs more than that question.
    if (this.#due !== undefined && this.#stretch <= nanoseconds) return;
    const until = performance.now() + nanoseconds / 1e6;
    if (this.#due !== undefined && this.#due <= until + SLACK) return;
    this.#due = until;
    this.#stretch = nanoseconds;
    this.#libc.setTimer(this.#timer, nanoseconds);
  }

  /** The next run is to be over at once. */
  raise(): void {
    this.#libc.signalSelf(SIGNAL);
  }

  /** A run was interrupted: the signal is taken. */
  taken(): void {
    if (this.#libc.takeSignal(this.#set)) this.#due = undefined;
  }

  dispose(): void {
    if (--this.#users > 0) return;
    OF_THREAD.delete(this.#libc);
    this.#libc.deleteTimer(this.#timer);
    // The queue holds one signal a timer: none is left for whoever comes next.
    this.#libc.takeSignal(this.#set);
  }
}

// The timer of a local APIC: one-shot, periodic, or at a value of the time stamp counter (SDM vol. 3, 11.5.4). It counts
// at the frequency of the TSC, divided; like the PIT it is worked out from when it was started, and never drifts.
import { type Alarm, type AlarmClock, TSC_HZ } from "../../base/clock.ts";
import { restored } from "../saved_state.ts";

/** Timer modes, bits 18:17 of the LVT entry. */
export const TIMER_MODE = { OneShot: 0, Periodic: 1, TscDeadline: 2 } as const;

const NS_PER_SECOND = 1_000_000_000n;
/** Beyond what the clock can tell: 2^53 ns are 104 days. */
const END_OF_TIME = BigInt(Number.MAX_SAFE_INTEGER);

/** Shortest time between two alarms of a periodic timer: a guest that asks for more gets every so many-th tick. */
const MIN_PERIOD_NS = 1_000;

const RESET = {
  masked: true,
  mode: TIMER_MODE.OneShot as number,
  initial: 0,
  /** Divide configuration register, bits 3, 1 and 0. */
  divide: 0,
  /** When the count was, or would have been, at `initial`: nanoseconds. */
  start: 0,
  running: false,
  /** IA32_TSC_DEADLINE in decimal; "0" is disarmed. */
  deadline: "0",
};

export class LapicTimer {
  #state = { ...RESET };
  #alarm: Alarm | undefined;

  /** `fire` is called each time the count reaches zero, or the deadline is there. */
  constructor(readonly clock: AlarmClock, readonly fire: () => void) {}

  /**
   * Takes what the LVT entry says. Going to or from deadline mode disarms the timer (SDM vol. 3, 11.5.4.1). While it is
   * masked it counts, but costs no alarms.
   */
  configure(mode: number, masked: boolean): void {
    const s = this.#state;
    this.#settle();
    if (mode !== s.mode && [mode, s.mode].includes(TIMER_MODE.TscDeadline)) {
      s.running = false;
      s.initial = 0;
      s.deadline = "0";
    }
    s.mode = mode;
    s.masked = masked;
    this.#schedule();
  }

  /** As after a reset: stopped, masked, forgotten. */
  reset(): void {
    this.#state = { ...RESET };
    this.#schedule();
  }

  get initial(): number {
    return this.#state.initial;
  }
  /** Starts the count; 0 stops it. Does nothing in deadline mode. */
  set initial(count: number) {
    const s = this.#state;
    if (s.mode === TIMER_MODE.TscDeadline) return;
    s.initial = count;
    s.start = this.clock.now();
    s.running = count > 0;
    this.#schedule();
  }

  /** What is left of the count; 0 when it does not run. */
  get current(): number {
    const s = this.#state;
    if (!s.running) return 0;
    const ticks = Math.floor((this.clock.now() - s.start) / this.#tick);
    return s.mode === TIMER_MODE.Periodic
      ? s.initial - ticks % s.initial
      : Math.max(0, s.initial - ticks);
  }

  get divide(): number {
    return this.#state.divide;
  }
  /** A change counts from now on; what has been counted stays counted. */
  set divide(value: number) {
    const s = this.#state;
    const done = s.initial - this.current;
    s.divide = value & 0b1011;
    s.start = this.clock.now() - done * this.#tick;
    this.#schedule();
  }

  /** IA32_TSC_DEADLINE (MSR 0x6e0): 0 when disarmed. */
  get deadline(): bigint {
    this.#settle();
    return BigInt(this.#state.deadline);
  }
  /** Arms the timer for a value of the TSC, at once if that is past; 0 disarms. Does nothing in other modes. */
  set deadline(tsc: bigint) {
    if (this.#state.mode !== TIMER_MODE.TscDeadline) return;
    this.#state.deadline = String(BigInt.asUintN(64, tsc));
    this.#schedule();
  }

  /** Nanoseconds of one count. Divisors are 2, 4, ... 128, and then 1 (SDM vol. 3, figure 11-10). */
  get #tick(): number {
    const { divide } = this.#state;
    const code = divide & 3 | (divide & 8) >> 1;
    return (code === 7 ? 1 : 2 << code) * (1_000_000_000 / TSC_HZ);
  }

  /** When a single shot or deadline is due, or was: nanoseconds. */
  #end(): number | undefined {
    const s = this.#state;
    if (s.mode === TIMER_MODE.TscDeadline) {
      const hz = BigInt(TSC_HZ);
      const ns = (BigInt(s.deadline) * NS_PER_SECOND + hz - 1n) / hz;
      return ns === 0n || ns > END_OF_TIME ? undefined : Number(ns);
    }
    return s.running ? s.start + s.initial * this.#tick : undefined;
  }

  /** When it is due next. */
  #due(): number | undefined {
    const s = this.#state;
    if (s.mode !== TIMER_MODE.Periodic || !s.running) return this.#end();
    const period = s.initial * this.#tick;
    const earliest = this.clock.now() + (period < MIN_PERIOD_NS ? MIN_PERIOD_NS : 1);
    return s.start + Math.ceil((earliest - s.start) / period) * period;
  }

  /** What ended unseen, because it was masked, has ended. */
  #settle(): void {
    const s = this.#state;
    const end = this.#end();
    if (!s.masked || s.mode === TIMER_MODE.Periodic) return;
    if (end === undefined || end > this.clock.now()) return;
    s.running = false;
    s.deadline = "0";
  }

  #schedule(): void {
    this.#alarm?.cancel();
    const due = this.#state.masked ? undefined : this.#due();
    this.#alarm = due === undefined ? undefined : this.clock.setAlarm(due, () => this.#expire());
  }

  #expire(): void {
    const s = this.#state;
    if (s.mode !== TIMER_MODE.Periodic) {
      s.running = false;
      s.deadline = "0";
    }
    this.#schedule();
    this.fire();
  }

  save(): typeof RESET {
    return { ...this.#state };
  }
  restore(state: unknown): void {
    this.#state = restored(RESET, state, "timer");
    this.#schedule();
  }
}

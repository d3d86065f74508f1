// The two timers of a virtual CPU: one periodic, one single-shot. Both raise VIRQ_TIMER.
import type { Alarm, AlarmClock } from "../../base/clock.ts";

/** Shortest period Xen grants, in nanoseconds. */
export const MIN_PERIOD = 1_000_000;

/** Both, on the clock of the run. */
export class Timers {
  readonly #clock: AlarmClock;
  readonly #fire: () => void;
  #periodic: Alarm | undefined;
  #singleShot: Alarm | undefined;

  /** `fire` is called when either is due. */
  constructor(clock: AlarmClock, fire: () => void) {
    this.#clock = clock;
    this.#fire = fire;
  }

  /** Nanoseconds since power on. */
  get now(): number {
    return this.#clock.now();
  }

  /** Fires every `period` nanoseconds from now. Ticks that come late don't come twice: the next counts from the last. */
  startPeriodic(period: number): void {
    this.stopPeriodic();
    const arm = (): void => {
      this.#periodic = this.#clock.setAlarm(this.#clock.now() + period, () => {
        this.#fire();
        arm();
      });
    };
    arm();
  }

  /** Stops the periodic timer, if it runs. */
  stopPeriodic(): void {
    this.#periodic?.cancel();
    this.#periodic = undefined;
  }

  /** Fires at `deadline` (nanoseconds since power on), or as soon as possible if that is past. */
  setSingleShot(deadline: bigint): void {
    this.stopSingleShot();
    const at = Number(BigInt.asUintN(64, deadline));
    this.#singleShot = this.#clock.setAlarm(Math.min(at, Number.MAX_SAFE_INTEGER), this.#fire);
  }

  /** Stops the single-shot timer, if it runs. */
  stopSingleShot(): void {
    this.#singleShot?.cancel();
    this.#singleShot = undefined;
  }
}

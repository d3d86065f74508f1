// Virtual time. The virtual board runs at 1 GHz by definition, so that one modelled cycle is one nanosecond and the TSC
// counts nanoseconds; no wall clock enters a run on the embedded engine.

/** Frequency of the virtual time stamp counter, in Hz. */
export const TSC_HZ = 1_000_000_000;

/** Tells virtual time. */
export interface Clock {
  /** Nanoseconds since the board was powered on: a non-negative integer below 2^53. */
  now(): number;
}

/** A clock that calls back. */
export interface AlarmClock extends Clock {
  /** Calls `fire` once, when virtual time reaches `at` (nanoseconds); at once on the next `runDue` if that is past. */
  setAlarm(at: number, fire: () => void): Alarm;
}

/** A pending call; cancelling twice, or after it fired, does nothing. */
export interface Alarm {
  /** Takes it back. */
  cancel(): void;
}

interface Pending {
  readonly at: number;
  readonly order: number;
  readonly fire: () => void;
}

/** The clock of one run: advanced by whoever runs the guest, alarms fire in order of time, then of setting. */
export class VirtualClock implements AlarmClock {
  #pending: Pending[] = [];
  #order = 0;

  /** `time` tells nanoseconds since power on; it must never go back. */
  constructor(readonly time: () => number) {}

  now(): number {
    return this.time();
  }

  setAlarm(at: number, fire: () => void): Alarm {
    const pending = { at, order: this.#order++, fire };
    this.#pending.push(pending);
    this.#pending.sort((a, b) => a.at - b.at || a.order - b.order);
    return { cancel: () => this.#pending = this.#pending.filter((p) => p !== pending) };
  }

  /** When the next alarm is due, or undefined when none is set. */
  nextAlarm(): number | undefined {
    return this.#pending[0]?.at;
  }

  /** Fires the alarms that are due now, and tells how many. An alarm set while firing waits for the next call. */
  runDue(): number {
    // The host's time costs as much as many exits' handling.
    if (this.#pending.length === 0) return 0;
    const now = this.now();
    const due = this.#pending.filter((p) => p.at <= now);
    this.#pending = this.#pending.filter((p) => p.at > now);
    for (const { fire } of due) fire();
    return due.length;
  }
}

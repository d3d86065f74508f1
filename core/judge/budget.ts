// Bounds the searches of the judge: events and patterns are both in a scenario's hand.

/** Pattern trials for one expectation: a few seconds at the worst. */
export const TRIAL_BUDGET = 10_000_000;

/** Counts trials down. */
export class Budget {
  constructor(public left: number = TRIAL_BUDGET) {}

  /** Takes one trial; false when there are none left. */
  take(): boolean {
    return this.left-- > 0;
  }

  get spent(): boolean {
    return this.left < 0;
  }
}

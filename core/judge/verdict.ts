// What became of a case, and what that means for the exit code of the program.

/** Verdicts from best to worst. */
export const VERDICTS = [
  /** Every expectation held. */
  "passed",
  /** Not run: the subject can't, or the scenario does not ask for it. The reason says which. */
  "skipped",
  /** Nothing is known to be wrong, but an expectation needs what this subject can't show. */
  "unobserved",
  /** It fails as the ledger says it does. */
  "known-deviation",
  /** It gave different results for the same input. */
  "flaky",
  /** It broke an expectation. */
  "failed",
  /** It disagrees with the other back ends. */
  "diverged",
  /** The scenario, the harness or the environment is at fault, never the subject. */
  "error",
] as const;
/** What became of a case, or of several: one of {@linkcode VERDICTS}. */
export type Verdict = typeof VERDICTS[number];

/** Is `a` worse than `b`? */
export function isWorse(a: Verdict, b: Verdict): boolean {
  return VERDICTS.indexOf(a) > VERDICTS.indexOf(b);
}

/** The worst of them; `passed` where there are none. */
export function worst(verdicts: Iterable<Verdict>): Verdict {
  let result: Verdict = "passed";
  for (const verdict of verdicts) if (isWorse(verdict, result)) result = verdict;
  return result;
}

/** How many there are of each verdict; a run's summary. Verdicts that nobody got are absent. */
export type Summary = Partial<Record<Verdict, number>>;

/** Counts verdicts, in the order from best to worst. */
export function summarize(verdicts: readonly Verdict[]): Summary {
  const summary: Summary = {};
  for (const verdict of VERDICTS) {
    const count = verdicts.filter((v) => v === verdict).length;
    if (count > 0) summary[verdict] = count;
  }
  return summary;
}

/** Exit codes of `trivisor run`. */
export const EXIT_CODE = {
  /** Nothing is worse than a known deviation. */
  ok: 0,
  /** A subject failed, diverged or was flaky. */
  failed: 1,
  /** The command line or a scenario is wrong, or nothing was selected. */
  usage: 2,
  /** The harness or the environment is at fault. */
  harness: 3,
} as const;
export type ExitCode = typeof EXIT_CODE[keyof typeof EXIT_CODE];

/** The exit code of a run. Errors whose fault is the harness's win over those of a scenario, both over failures. */
export function exitCodeOf(summary: Summary, harnessErrors: number): ExitCode {
  if (harnessErrors > 0) return EXIT_CODE.harness;
  if (summary.error) return EXIT_CODE.usage;
  return summary.failed || summary.diverged || summary.flaky ? EXIT_CODE.failed : EXIT_CODE.ok;
}

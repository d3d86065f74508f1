// Statistics of measurements: medians with intervals that assume nothing about how the noise is distributed.

/** A median and where it may lie. */
export interface Estimate {
  readonly median: number;
  /** Bounds of the interval that holds the true median with at least 95 % confidence, or as near as `count` allows. */
  readonly low: number;
  readonly high: number;
  /** Number of samples. */
  readonly count: number;
}

/** The middle value; of an even number the mean of the two in the middle. NaN for no samples. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? NaN) + high) / 2;
}

/** Confidence of the intervals. */
const CONFIDENCE = 0.95;

/**
 * The median and its interval by order statistics: the number of samples below the true median is binomial with p = 1/2,
 * whatever the distribution. With fewer than six samples the interval is all of them.
 */
export function estimate(samples: readonly number[]): Estimate {
  const sorted = samples.toSorted((a, b) => a - b);
  const count = sorted.length;
  const cut = cutOff(count);
  return {
    median: median(sorted),
    low: sorted[cut] ?? NaN,
    high: sorted[count - 1 - cut] ?? NaN,
    count,
  };
}

/** How many samples at each end can be left out: the most of which the chance that all lie beyond is small enough. */
function cutOff(count: number): number {
  const tail = (1 - CONFIDENCE) / 2;
  let exactly = 0.5 ** count;
  let atMost = 0;
  let cut = 0;
  for (let below = 0; below < count / 2; below++) {
    atMost += exactly;
    if (atMost > tail) break;
    cut = below;
    exactly *= (count - below) / (below + 1);
  }
  return cut;
}

/** The ratio of two series whose samples were taken in turns: of each pair, so that slow noise cancels out. */
export function estimateRatio(of: readonly number[], to: readonly number[]): Estimate {
  const pairs = Math.min(of.length, to.length);
  return estimate(Array.from({ length: pairs }, (_, i) => (of[i] ?? NaN) / (to[i] ?? NaN)));
}

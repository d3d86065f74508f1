import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { estimate, estimateRatio, median } from "./statistics.ts";

const MEDIANS: readonly (readonly [readonly number[], number])[] = [
  [[3], 3],
  [[3, 1, 2], 2],
  [[4, 1, 3, 2], 2.5],
  [[], NaN],
];

for (const [samples, expected] of MEDIANS) {
  Deno.test(`median() is ${expected} when the samples are ${JSON.stringify(samples)}`, () => {
    assertEquals(median(samples), expected);
  });
}

/** Ranks, counted from 1, of the interval of the median at 95 %: any table of them (e.g. Conover, table A3) has these. */
const RANKS: readonly (readonly [number, number, number])[] = [
  [1, 1, 1],
  [5, 1, 5],
  [6, 1, 6],
  [9, 2, 8],
  [12, 3, 10],
  [15, 4, 12],
  [20, 6, 15],
  [30, 10, 21],
];

for (const [count, low, high] of RANKS) {
  Deno.test(`estimate() reaches from rank ${low} to ${high} when there are ${count} samples`, () => {
    const samples = Array.from({ length: count }, (_, i) => count - i);
    const result = estimate(samples);
    assertEquals([result.low, result.high, result.count], [low, high, count]);
  });
}

/** A generator with a fixed seed (Park and Miller), as tests must give the same answer every time. */
function generator(seed: number): () => number {
  let state = seed;
  return () => (state = state * 48271 % 0x7fffffff) / 0x7fffffff;
}

Deno.test("estimate() holds the true median in about 95 of 100 series, or more, when noise is skewed", () => {
  const random = generator(1);
  let held = 0;
  for (let series = 0; series < 1000; series++) {
    const { low, high } = estimate(Array.from({ length: 15 }, () => -Math.log(1 - random())));
    if (low <= Math.LN2 && Math.LN2 <= high) held++;
  }
  assert(held >= 940, `${held} of 1000`);
});

Deno.test("estimateRatio() sees a constant ratio through noise that both series share", () => {
  const random = generator(2);
  const noise = Array.from({ length: 15 }, () => 1 + 10 * random());
  const ratio = estimateRatio(noise.map((n) => 3 * n), noise);
  assertAlmostEquals(ratio.low, 3, 1e-9);
  assertAlmostEquals(ratio.high, 3, 1e-9);
});

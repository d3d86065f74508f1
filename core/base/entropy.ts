// Numbers for RDRAND and RDSEED: the same for the same seed, on every machine. No secrets: a guest that wants any must not
// run here.

const GOLDEN = 0x9e37_79b9_7f4a_7c15n;

/** What a machine is given that nobody has given a seed. */
export const DEFAULT_SEED = 1;

/**
 * An endless row of 64-bit numbers (SplitMix64).
 *
 * @example The same seed makes the same numbers
 * ```ts
 * import { assertEquals } from "@std/assert";
 *
 * const [a, b] = [entropy(7), entropy(7)];
 * assertEquals([a(), a()], [b(), b()]);
 * ```
 */
export function entropy(seed: number): () => bigint {
  let state = BigInt.asUintN(64, BigInt(seed));
  return () => {
    state = BigInt.asUintN(64, state + GOLDEN);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58_476d_1ce4_e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d0_49bb_1331_11ebn);
    return z ^ (z >> 31n);
  };
}

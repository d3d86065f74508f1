// Takes samples in turns, so that what disturbs the machine for a while disturbs all alike.

/** Something that can be measured. */
export interface Probe {
  readonly name: string;
  /** One sample: whatever unit, the same at each call. */
  sample(): number | Promise<number>;
}

/** `rounds` samples of each probe, by name, after `warmups` rounds that are thrown away. */
export async function interleave(
  probes: readonly Probe[],
  rounds: number,
  warmups = 1,
): Promise<Map<string, readonly number[]>> {
  const samples = new Map<string, number[]>(probes.map((p) => [p.name, []]));
  for (let round = -warmups; round < rounds; round++) {
    for (const probe of probes) {
      const value = await probe.sample();
      if (round >= 0) samples.get(probe.name)?.push(value);
    }
  }
  return samples;
}

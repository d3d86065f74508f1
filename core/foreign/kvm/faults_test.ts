// Guests that mean no good, and threads ended in the middle of their work: a verdict in time, nothing lost, nothing left.
// `deno task faults --subject kvm` makes a thousand runs.
import { KVM_UNAVAILABLE } from "../../engine/kvm/testing.ts";
import { Random } from "../../engine/oracle/random.ts";
import { endure } from "../testing_faults.ts";
import { assertNothingLeft, census } from "../testing_faults_census.ts";
import { kvmTrials } from "./testing_faults.ts";

const RUNS = 70, PARALLEL = 3;

Deno.test({
  name: `whatever a guest does on KVM has a verdict and leaves nothing${
    KVM_UNAVAILABLE ? ` (skipped: ${KVM_UNAVAILABLE})` : ""
  }`,
  ignore: KVM_UNAVAILABLE !== undefined,
  fn: async () => {
    const seed = Date.now() % 1_000_000;
    const token = `kvm-faults-${crypto.randomUUID()}`;
    try {
      // What the first thread brings with it stays: libraries, the pool of Deno's.
      await endure(kvmTrials(new Random(seed), 1), 1);
      const before = await census(token);
      await endure(kvmTrials(new Random(seed + 1), RUNS), PARALLEL);
      await assertNothingLeft(before, token);
    } catch (error) {
      throw new Error(`Seed ${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  },
});

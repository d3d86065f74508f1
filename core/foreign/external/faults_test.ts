// Every fault that fixtures/vmm/faulty.pl knows has its verdict in time, with all that was said before, and leaves nothing.
// `deno task faults` makes a thousand runs.
import { assertEquals } from "@std/assert";
import { Random } from "../../engine/oracle/random.ts";
import { endure } from "../testing_faults.ts";
import { assertNothingLeft, census } from "../testing_faults_census.ts";
import { EXPECTED, faultTrials, knownFaults, noPerl } from "./testing_faulty.ts";

const reason = await noPerl();
const skip = reason ? ` (skipped: ${reason})` : "";
const PARALLEL = 8;
/** The same in every test; `deno task faults` tries others. */
const SEED = 2026;

Deno.test({
  name: `every fault is expected${skip}`,
  ignore: reason !== undefined,
  fn: async () => assertEquals((await knownFaults()).toSorted(), Object.keys(EXPECTED).toSorted()),
});

Deno.test({
  name: `a VMM that fails in any way has a verdict and leaves nothing${skip}`,
  ignore: reason !== undefined,
  fn: async () => {
    const token = `faulty-${crypto.randomUUID()}`;
    const round = () =>
      endure(faultTrials(new Random(SEED), Object.keys(EXPECTED).length, token), PARALLEL);
    try {
      // The first round has the process grow to what floods need; what is lost of it grows with each.
      await round();
      const before = await census(token);
      await round();
      await assertNothingLeft(before, token);
    } catch (error) {
      throw new Error(`Seed ${SEED}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  },
});

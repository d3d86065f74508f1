// Whatever happens to a QEMU, and whatever is called one: a verdict in time, nothing lost, nothing left.
// `deno task faults --subject qemu` makes a thousand runs.
import { Random } from "../../engine/oracle/random.ts";
import { endure } from "../testing_faults.ts";
import { assertNothingLeft, census } from "../testing_faults_census.ts";
import { noQemu, qemuTrials, withFolder } from "./testing_faults.ts";

const reason = await noQemu();
/** The same in every test; `deno task faults` tries others. */
const SEED = 2026;
const RUNS = 25, PARALLEL = 3;

Deno.test({
  name: `whatever happens to QEMU is a verdict and leaves nothing${
    reason ? ` (skipped: ${reason})` : ""
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    try {
      await withFolder(async (folder) => {
        // What the first process brings with it stays: the pool of Deno's.
        await endure(qemuTrials(new Random(SEED), 1, folder), 1);
        const before = await census(folder);
        await endure(qemuTrials(new Random(SEED + 1), RUNS, folder), PARALLEL);
        await assertNothingLeft(before, folder);
      });
    } catch (error) {
      throw new Error(`Seed ${SEED}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  },
});

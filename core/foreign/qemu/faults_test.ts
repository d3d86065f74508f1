// Whatever happens to a QEMU, and whatever is called one: a verdict in time, nothing lost, nothing left.
// `deno task faults --subject qemu` makes a thousand runs.
import { Random } from "../../engine/oracle/random.ts";
import { endure } from "../testing_faults.ts";
import { assertNothingLeft, census } from "../testing_faults_census.ts";
import { noQemu, qemuTrials, withFolder } from "./testing_faults.ts";

const reason = await noQemu();
const RUNS = 25, PARALLEL = 3;

Deno.test({
  name: `whatever happens to QEMU is a verdict and leaves nothing${
    reason ? ` (skipped: ${reason})` : ""
  }`,
  ignore: reason !== undefined,
  fn: async () => {
    const seed = Date.now() % 1_000_000;
    try {
      await withFolder(async (folder) => {
        const before = await census(folder);
        await endure(qemuTrials(new Random(seed), RUNS, folder), PARALLEL);
        await assertNothingLeft(before, folder);
      });
    } catch (error) {
      throw new Error(`Seed ${seed}: ${error instanceof Error ? error.message : error}`, {
        cause: error,
      });
    }
  },
});

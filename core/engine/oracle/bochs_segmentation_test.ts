// Segmentation against Bochs: limits, types, wraps and branch targets. `SEGMENTATION_TRIALS` and `ORACLE_SEED` set how many
// trials, and which.
import { assertEquals } from "@std/assert";
import { bochsUnavailable } from "./bochs.ts";
import { compareOnBochs } from "./bochs_compare.ts";
import { segmentationTrial } from "./bochs_segmentation.ts";
import { Random } from "./random.ts";

const unavailable = await bochsUnavailable();
const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const TRIALS = Number(Deno.env.get("SEGMENTATION_TRIALS") ?? 300);
/** Trials that fit into the machine, with room to spare. */
const BATCH = 1000;

const name = `${TRIALS} random accesses to segments of every kind end as on Bochs, seed ${SEED}`;
Deno.test({
  name: unavailable ? `${name}: skipped, ${unavailable}` : name,
  ignore: unavailable !== undefined,
  async fn() {
    const random = new Random(SEED);
    for (let done = 0; done < TRIALS; done += BATCH) {
      const trials = Array.from(
        { length: Math.min(BATCH, TRIALS - done) },
        (_, i) => segmentationTrial(random, `trial ${done + i}`),
      );
      const mismatches = await compareOnBochs(trials);
      assertEquals(mismatches.map(({ trial, differences }) => [trial.name, ...differences]), []);
    }
  },
});

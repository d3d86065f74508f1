// Task switches that leave the guest, and are done for it, come out as those that the processor does. Needs no Bochs.
import { assertEquals } from "@std/assert";
import { runOnEngine } from "./bochs_machine.ts";
import { taskTrial } from "./bochs_tasks.ts";
import { outcomes, trialImage } from "./bochs_trials.ts";
import { Random } from "./random.ts";

const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const TRIALS = 400;

Deno.test(`${TRIALS} random task switches end alike with and without exits, seed ${SEED}`, () => {
  const random = new Random(SEED);
  const image = trialImage(
    Array.from({ length: TRIALS }, (_, i) => taskTrial(random, `trial ${i}`)),
  );
  const bare = outcomes(runOnEngine(image));
  const left = outcomes(runOnEngine(image, undefined, true));
  assertEquals(left, bare);
  assertEquals(bare.length, TRIALS);
});

// Breakpoints, single-stepping, RF and alignment checks against Bochs. `DEBUG_TRIALS` sets how many trials.
import { assertEquals } from "@std/assert";
import { bochsUnavailable } from "./bochs.ts";
import { compareOnBochs } from "./bochs_compare.ts";
import { debugTrial } from "./bochs_debug.ts";
import { Random } from "./random.ts";

const unavailable = await bochsUnavailable();
const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const TRIALS = Number(Deno.env.get("DEBUG_TRIALS") ?? 300);
const SHORT_GRANT = 7;

for (const grant of [undefined, SHORT_GRANT]) {
  const name = `${TRIALS} random trials of breakpoints and single-stepping end as on Bochs, ` +
    `in grants of ${grant ?? "any number of"} instructions, seed ${SEED}`;
  Deno.test({
    name: unavailable ? `${name}: skipped, ${unavailable}` : name,
    ignore: unavailable !== undefined,
    async fn() {
      const random = new Random(SEED + (grant ?? 0));
      const trials = Array.from({ length: TRIALS }, (_, i) => debugTrial(random, `trial ${i}`));
      const mismatches = await compareOnBochs(trials, grant);
      assertEquals(mismatches.map(({ trial, differences }) => [trial.name, ...differences]), []);
    },
  });
}

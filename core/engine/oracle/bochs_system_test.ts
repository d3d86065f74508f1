// Task switches, gates and descriptors, and virtual-8086 mode against Bochs. `SYSTEM_TRIALS` sets how many of each.
import { assertEquals } from "@std/assert";
import { bochsUnavailable } from "./bochs.ts";
import { compareOnBochs } from "./bochs_compare.ts";
import { gateTrial } from "./bochs_gates.ts";
import { taskTrial } from "./bochs_tasks.ts";
import { virtualTrial } from "./bochs_v86.ts";
import { Random } from "./random.ts";

const UNAVAILABLE = await bochsUnavailable();
const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const TRIALS = Number(Deno.env.get("SYSTEM_TRIALS") ?? 300);
/** Trials a run: so many fit into the machine. Runs in long and short grants take turns. */
const RUN = Math.min(1000, Math.ceil(TRIALS / 2));
const SHORT_GRANT = 5;

const SUBJECTS = [
  ["task switches", taskTrial],
  ["gates, far transfers and segment loads", gateTrial],
  ["virtual-8086 mode, VME and PVI", virtualTrial],
] as const;

for (const [what, trial] of SUBJECTS) {
  Deno.test({
    name: `${TRIALS} random trials of ${what} end as on Bochs, seed ${SEED}` +
      (UNAVAILABLE ? ` (skipped: ${UNAVAILABLE})` : ""),
    ignore: UNAVAILABLE !== undefined,
    async fn() {
      const random = new Random(SEED);
      const trials = Array.from({ length: TRIALS }, (_, i) => trial(random, `trial ${i}`));
      for (let i = 0; i < TRIALS; i += RUN) {
        const grant = i % (2 * RUN) ? SHORT_GRANT : undefined;
        const found = await compareOnBochs(trials.slice(i, i + RUN), grant);
        const report = found.map(({ trial, differences }) => [trial.name, ...differences]);
        assertEquals(report, [], `seed ${SEED}`);
      }
    },
  });
}

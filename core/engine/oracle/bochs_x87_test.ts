// The FPU against Bochs: #NM and #MF, pointers and layouts, in real, virtual-8086 and protected mode. `X87_TRIALS` sets how many.
import { assertEquals } from "@std/assert";
import { bochsUnavailable } from "./bochs.ts";
import { compareOnBochs } from "./bochs_compare.ts";
import { x87Trials } from "./bochs_x87.ts";
import { Random } from "./random.ts";

const UNAVAILABLE = await bochsUnavailable();
const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const TRIALS = Number(Deno.env.get("X87_TRIALS") ?? 500);
/** The last one that has selectors in the pointers: its successors tell zeros (CPUID leaf 7, EBX bit 13). */
const MODEL = "corei7_sandy_bridge_2600k";

Deno.test({
  name: `the x87 FPU agrees with Bochs, seed ${SEED}, ${TRIALS} trials` +
    (UNAVAILABLE ? ` (skipped: ${UNAVAILABLE})` : ""),
  ignore: UNAVAILABLE !== undefined,
  async fn() {
    const found = await compareOnBochs(x87Trials(new Random(SEED), TRIALS), undefined, MODEL);
    const report = found.map(({ trial, differences }) =>
      [trial.name, ...differences].join("\n    ")
    );
    assertEquals(report, [], `seed ${SEED}`);
  },
});

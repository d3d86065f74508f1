// A short run of the paging trials on Bochs; any number by hand, with other seeds.
import { assertEquals, assertGreater } from "@std/assert";
import { bochsUnavailable, runOnBochs } from "./bochs.ts";
import { runOnEngine } from "./bochs_machine.ts";
import { pagingImage } from "./bochs_paging.ts";

const SEED = 1;
const TRIALS = 1000;
/** Has SMAP, and 1-GiB pages. */
const MODEL = "corei7_icelake_u";

const unavailable = await bochsUnavailable();

Deno.test({
  name: `the embedded CPU pages as Bochs does: ${TRIALS} accesses, seed ${SEED}` +
    (unavailable ? ` (skipped: ${unavailable})` : ""),
  ignore: unavailable !== undefined,
  async fn() {
    const image = pagingImage(TRIALS, SEED);
    const ours = runOnEngine(image).split("\n");
    const theirs = (await runOnBochs(image, MODEL)).split("\n");
    const mismatches = image.names.flatMap((name, i) =>
      ours[i] === theirs[i] ? [] : [`${name}: Bochs ${theirs[i]}, ours ${ours[i]}`]
    );
    assertEquals(mismatches, []);
    const outcomes = new Set(theirs.map((line) => line.split(" ", 2).join(" ")));
    assertGreater(outcomes.size, 15, "vectors and error codes");
  },
});

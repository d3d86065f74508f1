// A short run of the QEMU oracle, with every test run: some of the system trials, and random programs in every mode.
import { assertEquals, assertGreater } from "@std/assert";
import { tell } from "./options.ts";
import { qemuUnavailable } from "./qemu.ts";
import { runPaging, runPlain, runSystem } from "./qemu_oracle.ts";
import { describeMismatch, Session } from "./session.ts";

const SEED = 1;
const PROGRAMS = 220;
const PAGINGS = 110;
/** One system trial in so many. */
const SPARSENESS = 23;

const unavailable = await qemuUnavailable();

Deno.test({
  name: `the embedded CPU agrees with QEMU's in every mode, seed ${SEED}` +
    (unavailable ? ` (skipped: ${unavailable})` : ""),
  ignore: unavailable !== undefined,
  async fn(test) {
    const session = new Session();
    try {
      await runSystem(session, undefined, SPARSENESS);
      await runPlain(session, PROGRAMS, SEED);
      await runPaging(session, PAGINGS, SEED);
    } finally {
      await session.stop();
    }
    const { mismatches, compared } = session.tally;
    const trials = [...compared.values()].reduce((sum, count) => sum + count, 0);
    await tell(test, `${trials} trials in ${compared.size} modes, seed ${SEED}`);
    assertEquals(mismatches.map(describeMismatch), []);
    assertGreater(compared.size, 10);
  },
});

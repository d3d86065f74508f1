// A run of the host oracle with every test run: every form, and random programs.
import { assertEquals, assertGreater } from "@std/assert";
import { describeForms, formOracleCodes, runForms } from "./form_oracle.ts";
import { HOST_ORACLE_UNAVAILABLE } from "./host_cpu.ts";
import { runHostOracle } from "./host_oracle.ts";
import { tell } from "./options.ts";

const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const STATES = 200;
const PROGRAMS = 3000;
const ignore = HOST_ORACLE_UNAVAILABLE !== undefined;
const skipped = ignore ? ` (skipped: ${HOST_ORACLE_UNAVAILABLE})` : "";

for (const kind of ["integer", "vector"] as const) {
  Deno.test({
    name: `every ${kind} form agrees with the host CPU on ${STATES} random states, seed ${SEED}` +
      skipped,
    ignore,
    async fn(test) {
      const tally = runForms({ states: STATES, seed: SEED, kinds: [kind] });
      await tell(test, `${kind}: ${describeForms(tally)}, seed ${SEED}`);
      assertEquals([...tally.mismatches.values()], []);
      assertEquals(tally.missing, [], "Forms that were not tried");
    },
  });
}

Deno.test("the host oracle tries most of what CPUID announces", () => {
  assertGreater(formOracleCodes().size, 1000);
});

Deno.test({
  name:
    `the translator agrees with the host CPU on ${PROGRAMS} random integer programs, seed ${SEED}` +
    skipped,
  ignore,
  async fn(test) {
    const { states, mnemonics } = runHostOracle(PROGRAMS, SEED);
    await tell(test, `${states} programs, ${mnemonics} mnemonics, seed ${SEED}`);
    assertGreater(mnemonics, 60);
  },
});

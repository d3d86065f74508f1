// A short run of the host oracle, with every test run.
import { assertGreater } from "@std/assert";
import { HOST_ORACLE_UNAVAILABLE } from "./host_cpu.ts";
import { runHostOracle } from "./host_oracle.ts";

const SEED = 1;
const STATES = 3000;

Deno.test({
  name:
    `the translator agrees with the host CPU on ${STATES} random integer programs, seed ${SEED}` +
    (HOST_ORACLE_UNAVAILABLE ? ` (skipped: ${HOST_ORACLE_UNAVAILABLE})` : ""),
  ignore: HOST_ORACLE_UNAVAILABLE !== undefined,
  fn() {
    assertGreater(runHostOracle(STATES, SEED).mnemonics, 60);
  },
});

// FXSAVE, XSAVE and their kin agree with the CPU under this process. `ORACLE_STATES` sets how many states a form gets.
import { assertEquals, assertGreater } from "@std/assert";
import { HOST_ORACLE_UNAVAILABLE } from "./host_cpu.ts";
import { runStates } from "./host_state.ts";
import { tell } from "./options.ts";

const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const STATES = Number(Deno.env.get("ORACLE_STATES") ?? 200);

Deno.test({
  name: `x87 and SSE state in memory is as on the host CPU, ${STATES} states a form, seed ${SEED}` +
    (HOST_ORACLE_UNAVAILABLE ? ` (skipped: ${HOST_ORACLE_UNAVAILABLE})` : ""),
  ignore: HOST_ORACLE_UNAVAILABLE !== undefined,
  async fn(test) {
    const { forms, states, faults, mismatches } = runStates(STATES, SEED);
    await tell(
      test,
      `${forms} forms, ${states} states, of which ${faults} raised exceptions, seed ${SEED}`,
    );
    assertEquals(mismatches, []);
    assertGreater(faults, 100);
  },
});

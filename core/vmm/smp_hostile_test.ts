// CPUs that do what no system does. Whatever they do, the run ends with a verdict, and twice with the same one.
import { assert, assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Limits } from "../scenario/case.ts";
import { hostileProgram } from "./testing_hostile_cpus.ts";
import { runProgram } from "./testing_runs.ts";

const BACKENDS: readonly Backend[] = ["native", "full-bt", "full-hw", "full-hw/shadow", "hybrid"];
const CPUS = 3;
const SEED = 20_261_122, PROGRAMS = 12;
const LIMITS: Partial<Limits> = { instructions: 40_000, exits: 4_000, time: 2_000_000 };

for (const backend of BACKENDS) {
  Deno.test(`nothing that CPUs do to each other's APICs gets out of hand on ${backend}`, () => {
    const ends = new Set<string>();
    for (let n = 0; n < PROGRAMS; n++) {
      const text = hostileProgram(SEED + n, CPUS);
      const options = { cpus: CPUS, limits: LIMITS, turn: 1 + n * 40 };
      const { end, counts } = runProgram(backend, text, options);
      assertEquals(runProgram(backend, text, options).end, end, `seed ${SEED + n}`);
      assert(counts.instructions > 0, `seed ${SEED + n}`);
      ends.add(end.kind);
    }
    assert(ends.size > 0);
  });
}

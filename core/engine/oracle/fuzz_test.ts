import { assertEquals } from "@std/assert";
import { fuzz, fuzzedBytes } from "./fuzz_trial.ts";
import { fuzzRange } from "./fuzz_worker.ts";

const SEED = Number(Deno.env.get("ORACLE_SEED") ?? 1);
const PROGRAMS = 600;

Deno.test(`${PROGRAMS} random programs end within their bounds (seed ${SEED})`, () => {
  const task = { seed: SEED, from: 1, to: 1 + PROGRAMS, progress: new SharedArrayBuffer(4) };
  const { breaches } = fuzzRange(task, () => {});
  assertEquals(breaches.map(({ index, message }) => `${fuzzedBytes(SEED, index)}: ${message}`), []);
});

Deno.test("a random program is the same, and does the same, every time", () => {
  for (let index = 1; index <= 60; index++) {
    assertEquals(fuzz(SEED, index), fuzz(SEED, index), fuzzedBytes(SEED, index));
  }
});

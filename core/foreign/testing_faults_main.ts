// `deno task faults --runs N --seed S`: runs with random faults on VMMs outside of this process, and a census before and after.
import { numberOption, say } from "../engine/oracle/options.ts";
import { Random } from "../engine/oracle/random.ts";
import { faultTrials, noPerl } from "./external/testing_faulty.ts";
import { assertNothingLeft, census, endure } from "./testing_faults.ts";

const RUNS = 1000;
/** At a time: most of them wait. */
const PARALLEL = 16;
/** A trial has two runs or so. */
const WARM_UP = 60;

const absent = await noPerl();
if (absent) {
  say(`No runs: ${absent}`);
  Deno.exit(3);
}
const trials = numberOption("runs", RUNS);
const seed = numberOption("seed", Date.now() % 1_000_000);
const random = new Random(seed);
const token = `faulty-${crypto.randomUUID()}`;
say(`seed ${seed}`);
// Code is compiled and caches are filled before anything is counted.
await endure(faultTrials(random, WARM_UP, token), PARALLEL);
const before = await census(token);
const started = performance.now();
const runs = await endure(faultTrials(random, trials, token), PARALLEL);
const seconds = (performance.now() - started) / 1000;
await assertNothingLeft(before, token);
const after = await census(token);
const mib = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
say(`${trials} faults in ${runs} runs, ${seconds.toFixed(1)} s: every one has its verdict`);
say(
  `processes left: 0; file descriptors: ${before.descriptors} before, ${after.descriptors} after`,
);
say(`memory: ${mib(before.memory)} before, ${mib(after.memory)} after`);

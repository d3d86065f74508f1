// `deno task fuzz --programs N --seed S [--from I] [--workers W]`: random programs on the embedded engine. A program that
// throws, goes beyond what it was granted, writes outside of its RAM or does not end is a breach; exit code 1 then.
import { fuzzedBytes } from "./fuzz_trial.ts";
import type { FuzzTally, FuzzTask } from "./fuzz_worker.ts";
import { numberOption, say } from "./options.ts";

/** Programs that a worker is given at a time. */
const CHUNK = 2000;
/** A program takes milliseconds; one that runs for so long does not end. */
const HANG_MS = 60_000;
const LOOK_MS = 1000;

interface Chunk {
  readonly from: number;
  readonly to: number;
}

/** Runs one chunk in a worker; a program that hangs is left out, and the rest is done by another worker. */
async function run(seed: number, { from, to }: Chunk): Promise<FuzzTally[]> {
  const progress = new SharedArrayBuffer(4);
  const at = new Int32Array(progress);
  const worker = new Worker(new URL("./fuzz_worker.ts", import.meta.url), { type: "module" });
  const hung = Promise.withResolvers<number>();
  let last = -1, since = performance.now();
  const timer = setInterval(() => {
    const index = Atomics.load(at, 0);
    if (index !== last) [last, since] = [index, performance.now()];
    else if (performance.now() - since > HANG_MS) hung.resolve(index);
  }, LOOK_MS);
  const done = new Promise<FuzzTally>((resolve, reject) => {
    worker.onmessage = ({ data }: MessageEvent<FuzzTally>) => resolve(data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
  worker.postMessage({ seed, from, to, progress } satisfies FuzzTask);
  const result = await Promise.race([done, hung.promise]);
  clearInterval(timer);
  worker.terminate();
  if (typeof result !== "number") return [result];
  const breach = {
    retired: 0,
    ends: {},
    breaches: [{ index: result, message: "It does not end" }],
  };
  const parts = [{ from, to: result }, { from: result + 1, to }].filter((part) =>
    part.from < part.to
  );
  const others = [];
  for (const part of parts) others.push(...await run(seed, part));
  return [breach, ...others];
}

if (import.meta.main) {
  const programs = numberOption("programs", 10_000);
  const seed = numberOption("seed", 1);
  const first = numberOption("from", 1);
  const end = first + programs;
  const tallies: FuzzTally[] = [];
  let next = first;
  const work = async () => {
    while (next < end) {
      const from = next;
      next = Math.min(end, from + CHUNK);
      for (const tally of await run(seed, { from, to: next })) {
        tallies.push(tally);
        for (const { index, message } of tally.breaches) {
          say(`BREACH seed ${seed} program ${index}: ${fuzzedBytes(seed, index)}\n${message}`);
        }
      }
    }
  };
  await Promise.all(Array.from({ length: numberOption("workers", 2) }, work));
  const ends = new Map<string, number>();
  for (const tally of tallies) {
    for (const [name, count] of Object.entries(tally.ends)) {
      ends.set(name, (ends.get(name) ?? 0) + count);
    }
  }
  const breaches = tallies.reduce((sum, tally) => sum + tally.breaches.length, 0);
  const retired = tallies.reduce((sum, tally) => sum + tally.retired, 0);
  say(`seed ${seed}: ${programs} random programs, ${retired} instructions, ${breaches} breaches`);
  for (const [name, count] of [...ends].sort((a, b) => b[1] - a[1])) {
    say(`  ${String(count).padStart(8)} ${name}`);
  }
  if (breaches > 0) Deno.exit(1);
}

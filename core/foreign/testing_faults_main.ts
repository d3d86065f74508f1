// `deno task faults --runs N --seed S --subject external|kvm|qemu|all`: runs with random faults on VMMs outside of this thread,
// and a census before and after.
import { KVM_UNAVAILABLE } from "../engine/kvm/testing.ts";
import { numberOption, say, textOption } from "../engine/oracle/options.ts";
import { Random } from "../engine/oracle/random.ts";
import { faultTrials, noPerl } from "./external/testing_faulty.ts";
import { kvmTrials } from "./kvm/testing_faults.ts";
import { noQemu, qemuTrials, withFolder } from "./qemu/testing_faults.ts";
import { endure, type FaultTrial } from "./testing_faults.ts";
import { assertNothingLeft, census, describeCensus } from "./testing_faults_census.ts";

const RUNS = 1000;
/** The most frequent ends are told. */
const KINDS_TOLD = 10;

/** What is tried on one kind of subject. */
interface Kind {
  /** Why there is none here. */
  readonly absent: () => string | undefined | Promise<string | undefined>;
  /** At a time; `warmUp` are made before anything is counted: code is compiled, caches are filled. */
  readonly parallel: number;
  readonly warmUp: number;
  /** `token` is in the command lines of all processes that they start; it is a folder, too. */
  readonly trials: (random: Random, count: number, token: string) => Iterable<FaultTrial>;
}

const KINDS: Readonly<Record<string, Kind>> = {
  // Most of them wait.
  external: { absent: noPerl, parallel: 16, warmUp: 60, trials: faultTrials },
  kvm: { absent: () => KVM_UNAVAILABLE, parallel: 4, warmUp: 100, trials: kvmTrials },
  qemu: { absent: noQemu, parallel: 8, warmUp: 40, trials: qemuTrials },
};

const wanted = textOption("subject") ?? "all";
const names = wanted === "all" ? Object.keys(KINDS) : [wanted];
const count = numberOption("runs", RUNS);
const seed = numberOption("seed", Date.now() % 1_000_000);
say(`seed ${seed}`);
let tried = 0;
for (const name of names) {
  const kind = KINDS[name];
  if (!kind) {
    say(`--subject takes ${Object.keys(KINDS).join(", ")} or all, not ${name}`);
    Deno.exit(2);
  }
  const absent = await kind.absent();
  if (absent) say(`${name}: no runs: ${absent}`);
  else {
    await withFolder((folder) => tryOut(name, kind, folder));
    tried++;
  }
}
if (tried === 0) Deno.exit(3);

async function tryOut(
  name: string,
  { parallel, warmUp, trials }: Kind,
  token: string,
): Promise<void> {
  const random = new Random(seed);
  await endure(trials(random, warmUp, token), parallel);
  const before = await census(token);
  const started = performance.now();
  const { runs, ends, kinds } = await endure(trials(random, count, token), parallel);
  const seconds = (performance.now() - started) / 1000;
  await assertNothingLeft(before, token);
  const after = await census(token);
  const done = `${runs} runs, ${seconds.toFixed(1)} s, ${kinds.size} kinds of faults`;
  say(`${name}: ${done}: every one has its verdict: ${tally(ends)}`);
  say(`  before: ${describeCensus(before)}`);
  say(`  after:  ${describeCensus(after)}; no process is left`);
}

function tally(ends: ReadonlyMap<string, number>): string {
  const most = [...ends].toSorted(([, one], [, other]) => other - one);
  return most.slice(0, KINDS_TOLD).map(([end, times]) => `${times} ${end}`).join(", ");
}

// Runs on a QEMU over which something comes, chosen by chance.
import { assert } from "@std/assert";
import { describeEnd } from "../../trace/print.ts";
import type { Random } from "../../engine/oracle/random.ts";
import type { Subject } from "../../vmm/subject.ts";
import type { FaultStep, FaultTrial, Result } from "../testing_faults.ts";
import { checkGuest, guestJob, printing, WITHIN_MS } from "../testing_faults_guests.ts";
import { findProgram } from "./program.ts";
import { QEMU_MODES } from "./mode.ts";
import { qemuSubject } from "./subject.ts";
import { checkPrinted, countingGuest, Witness } from "./testing_counting.ts";
import { IMPOSTORS, impostorTrial } from "./testing_impostors.ts";
import { ANY, FAULTS, type Victim, victims } from "./testing_strikes.ts";

const EXITS = 3_000;
/** Milliseconds: of a guest that goes on until something happens, and of grace for a QEMU that hangs. */
const GUEST_MS = 800, GRACE_MS = 300;
/** Some are quick. */
const MANY = /^stopped by the limit on exits$/;
/** After the guest has begun, or the run: when something happens, at the latest. */
const LATEST_MS = 60, LATEST_EARLY_MS = 120;
const LOOK_MS = 5;
/** Runs on one subject. */
const STEPS = 12;
const SECTORS = 64;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** What there is of one QEMU. */
interface Patient {
  readonly subject: Subject;
  /** Its own name, by which its processes are known; their folders are in `folder`. */
  readonly program: string;
  readonly folder: string;
  /** Blows that go on until a pipe is closed. */
  readonly blows: Promise<void>[];
}

/** What was seen of a run. */
interface Seen {
  over: boolean;
  /** It was done to the process of this run, surely before that could end for another reason. */
  struck: boolean;
  before: string;
  witness?: Witness | undefined;
}

/** When something happens: as soon as the guest has printed, or at any time, to whichever process there is. */
type When = "running" | "any";

/** A run over which something comes. */
function step(name: string, patient: Patient, random: Random): FaultStep {
  const fault = FAULTS[name];
  if (!fault) throw new Error(`No fault ${name}`);
  const { subject, program, folder, blows } = patient;
  const disks = random.oneIn(3) ? [{ sectors: SECTORS, readOnly: random.oneIn(2) }] : [];
  const guest = countingGuest(random, disks.length > 0);
  const when: When = random.oneIn(6) ? "any" : "running";
  const wait = random.below(when === "any" ? LATEST_EARLY_MS : LATEST_MS);
  const seen: Seen = { over: false, struck: false, before: "" };
  const blow = (victim: Victim) => {
    // A process that has gone already feels nothing.
    blows.push((async () => await fault.strike(victim, random))().catch(() => {}));
  };
  const meanwhile = async () => {
    const started = performance.now();
    if (when === "any") {
      await pause(wait);
      for (const victim of victims(program)) blow(victim);
      return;
    }
    while (!seen.over && !seen.witness) {
      seen.witness = Witness.find(folder, guest.name);
      await pause(LOOK_MS);
    }
    await pause(wait);
    const { witness } = seen;
    if (!witness || seen.over) return;
    const victim = victims(program).find((one) => one.folder === witness.folder);
    seen.before = witness.text;
    if (!victim) return;
    blow(victim);
    seen.struck = performance.now() - started < GUEST_MS / 2;
  };
  const check = (result: Result) => {
    using witness = seen.witness;
    if ("lacks" in result) return assert(result.lacks.length > 0);
    const { trace } = result;
    const ends = seen.struck ? [fault.end, guest.end ?? MANY, MANY] : [ANY];
    const end = describeEnd(trace.end);
    assert(ends.some((one) => one.test(end)), `${end}, where ${ends.join(" or ")} was expected`);
    checkPrinted(trace, {
      name: guest.name,
      most: EXITS,
      sound: !fault.spoils,
      before: seen.before,
      finished: witness?.text,
    });
  };
  return {
    kind: when === "any" ? `${name}, at any time` : name,
    job: guestJob(subject.id.backend, "qemu", guest.text, {
      limits: { wallMs: GUEST_MS, exits: EXITS },
      disks,
    }),
    within: WITHIN_MS,
    meanwhile,
    over: () => seen.over = true,
    check: (result) => {
      try {
        check(result);
      } catch (error) {
        throw new Error(`${name}: ${String(error)}; the guest:\n${guest.text}`, { cause: error });
      }
    },
  };
}

const fine = (subject: Subject): FaultStep => ({
  kind: "none",
  job: guestJob(subject.id.backend, "qemu", printing(3, "mov al, 42\nout 0xf4, al")),
  within: WITHIN_MS,
  check: (result) => checkGuest(result, { letters: 3, end: /^shutdown 42$/ }),
});

/** A QEMU over whose runs things come; in between it is fine. `folder` is for the name that tells it from others. */
function qemuTrial(random: Random, names: readonly string[], folder: string): FaultTrial {
  const program = `${folder}/qemu-${random.u64().toString(16)}`;
  const mode = random.pick(QEMU_MODES);
  const made = qemuSubject("full-bt", { program, mode, grace: GRACE_MS });
  assert("subject" in made);
  const { subject } = made;
  const blows: Promise<void>[] = [];
  const patient = { subject, program, folder, blows };
  return {
    name: `full-bt@qemu, ${mode}`,
    subject,
    async open() {
      const found = await findProgram();
      assert("path" in found);
      await Deno.symlink(await whereIs(found.path), program);
      const availability = await subject.probe();
      assert(availability.available, `it is not there: ${JSON.stringify(availability)}`);
    },
    steps: [
      ...names.map((name) => {
        const run = step(name, patient, random);
        return random.oneIn(8) ? closing(run, subject, random) : run;
      }),
      fine(subject),
    ],
    // Nobody reads any more.
    settle: async () => void await Promise.all(blows),
  };
}

/** The subject is closed in the middle, or the run given up. */
function closing(run: FaultStep, subject: Subject, random: Random): FaultStep {
  const wait = random.below(LATEST_EARLY_MS), gives = random.oneIn(2);
  const until = { at: Infinity };
  return {
    ...run,
    kind: gives ? "the run given up" : "the subject closed",
    job: gives ? { ...run.job, abort: () => performance.now() > until.at } : run.job,
    async meanwhile() {
      until.at = performance.now() + wait;
      await pause(wait);
      if (!gives) await subject.close?.();
    },
    check: run.check,
  };
}

/** The path of a program. */
export async function whereIs(program: string): Promise<string> {
  if (program.includes("/")) return program;
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${program}`;
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  throw new Error(`Where is ${program}?`);
}

/** Trials with so many runs and a few more, each fault and impostor once if there are enough. `folder` is theirs. */
export function* qemuTrials(random: Random, count: number, folder: string): Generator<FaultTrial> {
  const left = Object.keys(FAULTS), wrong = [...IMPOSTORS];
  for (let made = 0, n = 0; made < count; n++) {
    if (n % 4 === 0) {
      const script = wrong.splice(random.below(wrong.length), 1)[0] ?? random.pick(IMPOSTORS);
      yield impostorTrial(random, script, folder);
      made++;
      continue;
    }
    const length = Math.min(count - made, STEPS);
    const names = Array.from({ length }, () => left.shift() ?? random.pick(Object.keys(FAULTS)));
    yield qemuTrial(random, names, folder);
    made += length;
  }
}

/** Why there are no such runs here. */
export async function noQemu(): Promise<string | undefined> {
  const found = await findProgram();
  if ("absent" in found) return found.absent;
  return Deno.build.os === "linux" ? undefined : "this is not Linux";
}

/** Gives `use` a folder for programs, in which processes' folders are too; holds that those are gone at the end. */
export async function withFolder<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "qemu-faults-" });
  const before = Deno.env.get("TMPDIR");
  Deno.env.set("TMPDIR", folder);
  try {
    const result = await use(folder);
    const left = [...Deno.readDirSync(folder)].filter(({ isDirectory }) => isDirectory);
    assert(left.length === 0, `folders are left: ${left.map(({ name }) => name).join(", ")}`);
    return result;
  } finally {
    if (before === undefined) Deno.env.delete("TMPDIR");
    else Deno.env.set("TMPDIR", before);
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

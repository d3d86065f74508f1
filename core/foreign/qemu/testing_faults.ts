// What may happen to a QEMU while it runs a guest, chosen by chance; and programs that are no QEMU.
import { assert, assertMatch } from "@std/assert";
import { describeEnd } from "../../trace/print.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import type { Random } from "../../engine/oracle/random.ts";
import type { Job, Subject } from "../../vmm/subject.ts";
import type { FaultStep, FaultTrial } from "../testing_faults.ts";
import { checkGuest, guestJob, printing, WITHIN_MS } from "../testing_faults_guests.ts";
import { stoppedTrace } from "../kvm/stopped.ts";
import { FILES } from "./machine.ts";
import { findProgram } from "./program.ts";
import { QEMU_MODES } from "./mode.ts";
import { qemuSubject } from "./subject.ts";

const MAX_LETTERS = 60;
const EXITS = 3_000;
/** Milliseconds: of a guest that goes on until something happens, before that at most, and after it. */
const GUEST_MS = 600, LATEST_MS = 120, PAUSE_MS = 5;
/** Runs on one subject. */
const STEPS = 12;
/** Bytes written at a time into what belongs to somebody else. */
const RUBBISH = 4096;
/** More than a run's output may be. */
const FLOOD = 8 << 20;

const SECTORS = 64;

/** A process of a run, by number, and the folder of its files. */
interface Victim {
  readonly pid: number;
  readonly folder: string;
}

interface Fault {
  readonly end: RegExp;
  /** It changes what QEMU says, and so what is known of the guest. */
  readonly falsifies?: true;
  readonly strike: (victim: Victim, random: Random) => void | Promise<void>;
}

const CUT = /^stopped by the limit on (time|exits)$/;
const signal = (name: Deno.Signal) => ({ pid }: Victim) => Deno.kill(pid, name);
const died = (how: string) => new RegExp(`^crash at 0x0: QEMU ended with [^]*${how}`);
/** What it does about it is QEMU's business; ours, that there is a verdict. */
const ANY = /^(stopped by|crash|shutdown|halt|triple)/;

const FAULTS: Readonly<Record<string, Fault>> = {
  "nothing": { end: CUT, strike: () => {} },
  "SIGKILL": { end: died("(SIGKILL|137)"), strike: signal("SIGKILL") },
  "SIGSEGV": { end: died("(SIGSEGV|139)"), strike: signal("SIGSEGV") },
  "SIGABRT": { end: died("(SIGABRT|134)"), strike: signal("SIGABRT") },
  // It tells so on stderr, and stands still or ends.
  "SIGTERM": { end: /^crash at 0x0: [^]*(signal 15|SIGTERM)/, strike: signal("SIGTERM") },
  "SIGSTOP": { end: CUT, strike: signal("SIGSTOP") },
  "SIGSTOP, SIGCONT": {
    end: CUT,
    async strike({ pid }) {
      Deno.kill(pid, "SIGSTOP");
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      Deno.kill(pid, "SIGCONT");
    },
  },
  "rubbish in its log": {
    end: ANY,
    falsifies: true,
    strike: (victim, random) => pour(victim, 2, RUBBISH, random),
  },
  "a flood in its log": {
    end: ANY,
    falsifies: true,
    strike: (victim, random) => pour(victim, 2, FLOOD, random),
  },
  "rubbish from its stub": {
    end: ANY,
    falsifies: true,
    strike: (victim, random) => pour(victim, 1, RUBBISH, random),
  },
  "a flood from its stub": {
    end: ANY,
    falsifies: true,
    strike: (victim, random) => pour(victim, 1, FLOOD, random),
  },
  "its folder removed": {
    end: ANY,
    strike: ({ folder }) => Deno.removeSync(folder, { recursive: true }),
  },
  "its disk truncated": { end: ANY, strike: ({ folder }) => Deno.truncateSync(`${folder}/disk0`) },
  "its RAM truncated": {
    end: ANY,
    strike: ({ folder }) => Deno.truncateSync(`${folder}/${FILES.ram}`),
  },
  "its RAM removed": {
    end: ANY,
    strike: ({ folder }) => Deno.removeSync(`${folder}/${FILES.ram}`),
  },
};

/** Writes rubbish as if it were the process's own output. */
async function pour({ pid }: Victim, fd: number, bytes: number, random: Random): Promise<void> {
  using file = await Deno.open(`/proc/${pid}/fd/${fd}`, { write: true });
  for (let left = bytes; left > 0; left -= RUBBISH) await file.write(random.bytes(RUBBISH));
}

const GUESTS: readonly string[] = [
  "jmp $",
  "again: mov dx, 0x3f8\nmov al, 'B'\nout dx, al\nmov ecx, 200000\nloop $\njmp again",
  "again: in al, 0x80\nmov ecx, 200000\nloop $\njmp again",
];

/** The processes that run by this program's name, once there is one. */
async function victims(program: string): Promise<Victim[]> {
  const until = performance.now() + GUEST_MS;
  for (;;) {
    const found: Victim[] = [];
    for (const { name } of Deno.readDirSync("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
      const [first, ...args] = command.split("\0");
      const folder = args[args.indexOf("-bios") + 1]?.replace(/\/[^/]*$/, "");
      if (first === program && folder) found.push({ pid: Number(name), folder });
    }
    if (found.length > 0 || performance.now() > until) return found;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** A run over which something comes. */
function step(name: string, subject: Subject, program: string, random: Random): FaultStep {
  const fault = FAULTS[name];
  if (!fault) throw new Error(`No fault ${name}`);
  const letters = 1 + random.below(MAX_LETTERS);
  const { backend } = subject.id;
  const limits = { wallMs: GUEST_MS, exits: EXITS };
  const disks = [{ sectors: SECTORS, readOnly: random.oneIn(2) }];
  const text = printing(letters, random.pick(GUESTS));
  const run = { struck: false };
  const wait = random.below(LATEST_MS);
  const meanwhile = async () => {
    const started = performance.now();
    await new Promise((resolve) => setTimeout(resolve, wait));
    const found = await victims(program);
    for (const victim of found) {
      try {
        await fault.strike(victim, random);
      } catch {
        // It is gone already.
      }
    }
    run.struck = found.length > 0 && performance.now() - started < GUEST_MS / 2;
  };
  return {
    job: guestJob(backend, "qemu", text, { limits, disks }),
    within: WITHIN_MS,
    meanwhile,
    check(result) {
      if (fault.falsifies && "trace" in result) {
        return assertMatch(describeEnd(result.trace.end), ANY);
      }
      try {
        // On a busy machine the run may be over before anything happens to it, or it happens to a process that idles.
        const late = "trace" in result && result.trace.end.kind === "limit";
        checkGuest(result, { letters, end: run.struck && !late ? fault.end : ANY, early: true });
      } catch (error) {
        throw new Error(`${name}: ${String(error)}`, { cause: error });
      }
    },
  };
}

const fine = (subject: Subject): FaultStep => ({
  job: guestJob(subject.id.backend, "qemu", printing(3, "mov al, 42\nout 0xf4, al")),
  within: WITHIN_MS,
  check: (result) => checkGuest(result, { letters: 3, end: /^shutdown 42$/ }),
});

/** A QEMU over whose runs things come; in between it is fine. `folder` is for the name that tells it from others. */
function qemuTrial(random: Random, names: readonly string[], folder: string): FaultTrial {
  const program = `${folder}/qemu-${random.u64().toString(16)}`;
  const mode = random.pick(QEMU_MODES);
  const made = qemuSubject("full-bt", { program, mode });
  assert("subject" in made);
  const { subject } = made;
  return {
    name: `full-bt@qemu, ${mode}`,
    subject,
    async open() {
      const found = await findProgram();
      assert("path" in found);
      await Deno.symlink(await whereIs(found.path), program);
      assert((await subject.probe()).available);
    },
    steps: [
      ...names.map((name) =>
        random.oneIn(8)
          ? closing(step(name, subject, program, random), subject, random)
          : step(name, subject, program, random)
      ),
      fine(subject),
    ],
  };
}

/** The subject is closed in the middle. */
function closing(run: FaultStep, subject: Subject, random: Random): FaultStep {
  const wait = random.below(LATEST_MS);
  return {
    ...run,
    async meanwhile() {
      await new Promise((resolve) => setTimeout(resolve, wait));
      await subject.close?.();
    },
    check: (result) => checkGuest(result, { letters: 0, end: ANY }),
  };
}

async function whereIs(program: string): Promise<string> {
  if (program.includes("/")) return program;
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${program}`;
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  throw new Error(`Where is ${program}?`);
}

/** Shell scripts that are called QEMU. The first line of `VERSIONED` makes those that follow tell a version. */
const VERSIONED = 'if [ "$1" = --version ]; then echo "QEMU emulator version 7.2"; exit; fi\n';
const WRONG: readonly string[] = [
  "exit 0",
  "exit 3",
  "echo nonsense",
  "head -c 100000 /dev/urandom",
  "echo 'QEMU emulator version x'",
  "exec sleep 1000",
  "exec yes",
  "exec cat /dev/zero",
  "kill -SEGV $$",
  "(sleep 1000 &) ; exit 0",
  "exec >&- 2>&-; exec sleep 1000",
  ...[
    "exit 0",
    "exit 3",
    "echo sorry >&2; exit 1",
    "kill -KILL $$",
    "exec sleep 1000",
    "exec yes",
    "exec yes >&2",
    "exec cat /dev/urandom",
    "exec cat",
    "exec cat /dev/urandom >&2",
    "trap '' TERM INT HUP; while :; do sleep 1; done",
    "setsid sleep 3 & exit 0",
    "exec <&- >&- 2>&-; exec sleep 1000",
  ].map((script) => VERSIONED + script),
];

/** Of a program that is no QEMU there are but probes. */
function impostorTrial(random: Random, script: string, folder: string): FaultTrial {
  const program = `${folder}/impostor-${random.u64().toString(16)}`;
  const made = qemuSubject("full-bt", { program });
  assert("subject" in made);
  const { subject } = made;
  const probing: Subject = {
    id: subject.id,
    summary: subject.summary,
    platform: subject.platform,
    probe: () => subject.probe(),
    unsuited: () => undefined,
    async run(job: Job) {
      const availability = await subject.probe();
      if (availability.available) return stoppedTrace(job);
      throw new SubjectLacks(availability.why);
    },
    close: () => subject.close?.() ?? Promise.resolve(),
  };
  return {
    name: `an impostor: ${script}`,
    subject: probing,
    open: () => Deno.writeTextFile(program, `#!/bin/sh\n${script}\n`, { mode: 0o755 }),
    steps: [{
      job: guestJob("full-bt", "qemu", "start: hlt"),
      within: WITHIN_MS,
      check: (result) => {
        assert("lacks" in result, "it is taken for a QEMU");
        assertMatch(result.lacks, /\w/);
      },
    }],
  };
}

/** Trials with so many runs and a few more, each fault and impostor once if there are enough. `folder` is theirs. */
export function* qemuTrials(random: Random, count: number, folder: string): Generator<FaultTrial> {
  const left = Object.keys(FAULTS), wrong = [...WRONG];
  for (let made = 0, n = 0; made < count; n++) {
    if (n % 4 === 0) {
      const script = wrong.splice(random.below(wrong.length), 1)[0] ?? random.pick(WRONG);
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

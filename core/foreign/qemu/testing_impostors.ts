// Programs that are called QEMU and are none, chosen by chance.
import { assert, assertMatch } from "@std/assert";
import type { Random } from "../../engine/oracle/random.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import type { Job, Subject } from "../../vmm/subject.ts";
import { stoppedTrace } from "../kvm/stopped.ts";
import type { FaultTrial } from "../testing_faults.ts";
import { guestJob, WITHIN_MS } from "../testing_faults_guests.ts";
import { qemuSubject } from "./subject.ts";

/** For the stub of a machine that hangs. */
const GRACE_MS = 300;

/** Shell scripts that are called QEMU. The first line of `VERSIONED` makes those that follow tell a version. */
const VERSIONED = 'if [ "$1" = --version ]; then echo "QEMU emulator version 7.2"; exit; fi\n';
export const IMPOSTORS: readonly string[] = [
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
export function impostorTrial(random: Random, script: string, folder: string): FaultTrial {
  const program = `${folder}/impostor-${random.u64().toString(16)}`;
  const made = qemuSubject("full-bt", { program, grace: GRACE_MS });
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
      kind: `an impostor: ${script.split("\n").at(-1)}`,
      job: guestJob("full-bt", "qemu", "start: hlt"),
      within: WITHIN_MS,
      check: (result) => {
        assert("lacks" in result, "it is taken for a QEMU");
        assertMatch(result.lacks, /\w/);
      },
    }],
  };
}

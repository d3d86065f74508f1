// What happens to a QEMU between two of its runs: nobody's run suffers, and nothing is left.
import { assert, assertEquals } from "@std/assert";
import { findProgram } from "./program.ts";
import { qemuSubject } from "./subject.ts";
import { job } from "./testing.ts";
import { whereIs } from "./testing_faults.ts";
import { type Victim, victims } from "./testing_strikes.ts";

const found = await findProgram();
const reason = "absent" in found
  ? found.absent
  : Deno.build.os === "linux"
  ? undefined
  : "this is not Linux";

async function writeTo({ pid }: Victim, fd: number, text: string): Promise<void> {
  using file = await Deno.open(`/proc/${pid}/fd/${fd}`, { write: true });
  await file.write(new TextEncoder().encode(text));
}

const BLOWS: Readonly<Record<string, (victim: Victim) => void | Promise<void>>> = {
  "nothing": () => {},
  "killed": ({ pid }) => Deno.kill(pid, "SIGKILL"),
  "half an access in its log": (victim) => writeTo(victim, 2, "memory_region_ops_write cpu 0 mr"),
  "a line in its log that is none of its own": (victim) => writeTo(victim, 2, "\x1b[2J\n"),
  "a packet from its stub": (victim) => writeTo(victim, 1, "$hello#14"),
  "its RAM removed": ({ folder }) => Deno.removeSync(`${folder}/ram`),
  "its folder removed": ({ folder }) => Deno.removeSync(folder, { recursive: true }),
};

/** What is left over of a process's death is gone in so many looks. */
const LOOKS = 100, PAUSE_MS = 10;
const NOTICED_MS = 50;

const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

async function atMost(wanted: number): Promise<boolean> {
  for (let looks = 0; looks < LOOKS && descriptors() > wanted; looks++) {
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return descriptors() <= wanted;
}

Deno.test({
  name: `a QEMU that idles may die or be spoiled${reason ? ` (skipped: ${reason})` : ""}`,
  ignore: reason !== undefined,
  fn: async (t) => {
    assert("path" in found);
    const folder = await Deno.makeTempDir();
    const program = `${folder}/qemu-${crypto.randomUUID()}`;
    await Deno.symlink(await whereIs(found.path), program);
    // What the first process brings with it stays: the pool of Deno's.
    await findProgram(program);
    const sends = (code: number) =>
      job("long64", `start: mov al, ${code}\nout 0x80, al\nout 0xf4, al`);
    for (const [name, blow] of Object.entries(BLOWS)) {
      for (const again of [true, false]) {
        await t.step(`${name}, ${again ? "then another run" : "then closed"}`, async () => {
          const before = descriptors();
          const made = qemuSubject("full-bt", { program, grace: 500 });
          assert("subject" in made);
          const { subject } = made;
          assertEquals(await subject.probe(), { available: true });
          assertEquals((await subject.run(sends(1))).end, { kind: "shutdown", code: 1 });
          const idle = victims(program);
          assertEquals(idle.length, 1);
          for (const victim of idle) await blow(victim);
          // Time to notice.
          await new Promise((resolve) => setTimeout(resolve, NOTICED_MS));
          if (again) {
            const { end, counts } = await subject.run(sends(2));
            assertEquals(end, { kind: "shutdown", code: 2 });
            assertEquals(counts.accesses, { io: 2 });
          }
          await subject.close?.();
          assertEquals(victims(program), []);
          assert(await atMost(before), `${descriptors()} descriptors, where there were ${before}`);
        });
      }
    }
    await Deno.remove(folder, { recursive: true });
  },
});

// What is left when trivisor is killed: nothing for long.
import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { sweepFolders } from "./leftovers.ts";
import { findProgram, findTimeout } from "./program.ts";

const found = await findProgram();
const timeout = await findTimeout();
const reason = "absent" in found
  ? found.absent
  : timeout === undefined
  ? "there is no timeout of coreutils"
  : undefined;

/** No process has it: beyond what Linux gives (PID_MAX_LIMIT, 4194304). */
const NOBODY = 4_200_000;

Deno.test("sweepFolders() removes those of the dead, in time", async () => {
  const parent = await Deno.makeTempDir();
  const [own, dead, other] = [`trivisor-qemu-${Deno.pid}-a`, `trivisor-qemu-${NOBODY}-b`, "else"];
  for (const name of [own, dead, other]) {
    await Deno.mkdir(`${parent}/${name}/0`, { recursive: true });
  }
  const names = () => [...Deno.readDirSync(parent)].map(({ name }) => name).sort();
  await sweepFolders(`${parent}/${own}`);
  assertEquals(names(), [other, own, dead].sort());
  await sweepFolders(`${parent}/${own}`, 0);
  assertEquals(names(), [other, own].sort());
  await sweepFolders("/nowhere/at-all");
  await Deno.remove(parent, { recursive: true });
});

/** Runs a guest that never ends, and tells the folder of its QEMU as soon as it runs. */
const VICTIM = `
  import { Pool } from "${new URL("./pool.ts", import.meta.url)}";
  import { job } from "${new URL("./testing.ts", import.meta.url)}";
  const [program, timeout] = Deno.args;
  const pool = new Pool({ program, timeout, accelerator: "tcg", mode: "one-shot" });
  const process = await pool.take(job("long64", "start: jmp start").image, 1500, 1 << 20, true);
  const stub = await process.load();
  console.log(process.child.pid);
  await stub.run(60_000);
`;

Deno.test({
  ignore: reason !== undefined,
  name: "a QEMU ends in time when trivisor was killed" + (reason ? ` (skipped: ${reason})` : ""),
  fn: async () => {
    assert(!("absent" in found) && timeout !== undefined);
    const config = fileURLToPath(new URL("../../../deno.json", import.meta.url));
    const file = await Deno.makeTempFile({ suffix: ".ts" });
    await Deno.writeTextFile(file, VICTIM);
    const victim = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--config", config, file, found.path, timeout],
      stdout: "piped",
    }).spawn();
    const reader = victim.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    victim.kill("SIGKILL");
    await victim.status;
    await reader.cancel();
    const lives = () => {
      try {
        return Deno.statSync(`/proc/${pid}`).isDirectory &&
          !/^State:\s+Z/m.test(Deno.readTextFileSync(`/proc/${pid}/status`));
      } catch {
        return false;
      }
    };
    assert(lives());
    for (let waited = 0; lives() && waited < 20_000; waited += 50) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert(!lives(), "it runs on");
    await Deno.remove(file);
    // Its folder is the next one's to sweep.
    for (const { name } of Deno.readDirSync("/tmp")) {
      if (name.startsWith(`trivisor-qemu-${victim.pid}-`)) {
        await Deno.remove(`/tmp/${name}`, { recursive: true });
      }
    }
  },
});

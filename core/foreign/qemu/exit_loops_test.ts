import { assertEquals } from "@std/assert";
import { ExitLoops } from "./exit_loops.ts";
import { exitPoints } from "./exit_points.ts";
import { readAt, writeAt, writeRam } from "./files.ts";
import { program } from "./testing.ts";

/** A guest that ends at its fourth byte or at its seventh. */
const TEXT = `start:
    inc   al
    nop
    out   0xf4, al
    nop
    out   0xf4, al`;

async function withLoops(use: (ram: string, start: number, loops: ExitLoops) => Promise<void>) {
  const image = program("real16", TEXT);
  const ram = await Deno.makeTempFile();
  try {
    await writeRam(ram, image, "new");
    await use(ram, image.start, await ExitLoops.put(image, exitPoints(image, "loops"), ram));
  } finally {
    await Deno.remove(ram);
  }
}

const code = async (ram: string, at: number) => (await readAt(ram, at, 8)).toHex();

Deno.test("ExitLoops stand in for the OUTs that end a run, and are gone when they are removed", () =>
  withLoops(async (ram, start, loops) => {
    assertEquals(await code(ram, start), "fec090ebfe90ebfe");
    await loops.remove();
    assertEquals(await code(ram, start), "fec090e6f490e6f4");
  }));

Deno.test("remove() leaves what the guest has written there", () =>
  withLoops(async (ram, start, loops) => {
    await writeAt(ram, start + 6, Uint8Array.of(0x12, 0x34));
    await loops.remove();
    assertEquals(await code(ram, start), "fec090e6f4901234");
  }));

Deno.test("reached() tells a CPU by where its tables lead to, unless it sleeps", () =>
  withLoops(async (_ram, start, loops) => {
    const high = 0xffff_8000_0000_0000n;
    const stub = { translate: (at: bigint) => Promise.resolve(Number(at & 0xffff_ffffn)) };
    const cpu = (offset: number, halted = false) => ({
      instruction: high + BigInt(start + offset),
      halted,
      interruptible: false,
    });
    const [waiting, before, asleep] = [cpu(6), cpu(2), cpu(3, true)];
    assertEquals(await loops.reached(stub, [before, asleep]), undefined);
    assertEquals(await loops.reached(stub, [before, waiting]), waiting);
    await loops.remove();
    assertEquals(await loops.reached(stub, [waiting]), undefined);
  }));

Deno.test("ExitLoops touch nothing of a guest from a file, nor what may be half an instruction", async () => {
  const image = program("real16", TEXT);
  const ram = await Deno.makeTempFile();
  await writeRam(ram, image, "new");
  const points = [3, 6].map((offset) => BigInt(image.start + offset));
  await ExitLoops.put({ ...image, format: "flat" }, points, ram);
  await ExitLoops.put(image, [2, 3].map((offset) => BigInt(image.start + offset)), ram);
  assertEquals(await code(ram, image.start), "fec090e6f490e6f4");
  await Deno.remove(ram);
});

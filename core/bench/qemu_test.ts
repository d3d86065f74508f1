import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { assembleKernel, benchProfile, runEmbedded } from "./embedded.ts";
import { KERNELS } from "./kernels.ts";
import { firmware, qemuVersion, runQemu } from "./qemu.ts";

Deno.test("firmware() ends with a jump from the reset vector to its start", () => {
  const rom = firmware(Uint8Array.of(0x90));
  const distance = new DataView(rom.buffer).getInt16(rom.length - 15, true);
  assertEquals(rom.length, 0x10000);
  assertEquals((rom.length - 16 + 3 + distance) & 0xffff, 0);
});

const qemu = await qemuVersion();
const profile = benchProfile();

for (const { name, program } of KERNELS) {
  Deno.test(`runEmbedded() counts as many instructions a round when ${name} runs twice as long`, () => {
    const [one, two, three] = [1, 2, 3].map((n) =>
      runEmbedded(assembleKernel(program(n)), profile).instructions
    );
    assertEquals((three ?? 0) - (two ?? 0), (two ?? 0) - (one ?? NaN));
  });

  Deno.test({
    name: `runQemu() reaches the end when it is given ${name}`,
    ignore: qemu === undefined,
    fn: async () => {
      const directory = await Deno.makeTempDir();
      try {
        const path = join(directory, "x.rom");
        await Deno.writeFile(path, firmware(assembleKernel(program(1))));
        await runQemu(path);
      } finally {
        await Deno.remove(directory, { recursive: true });
      }
    },
  });
}

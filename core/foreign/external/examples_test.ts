// The examples in fixtures/vmm keep to the protocol, and do what trivisor's own engine does.
import { assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { conformance } from "./conformance.ts";

const fixture = (name: string) =>
  fileURLToPath(new URL(`../../../fixtures/vmm/${name}`, import.meta.url));

async function works(program: string, ...args: string[]): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args, stdout: "null", stderr: "null" });
    return (await command.output()).success;
  } catch {
    return false;
  }
}

async function withoutKvm(): Promise<string | undefined> {
  if (!await works("gcc", "--version")) return "gcc is not installed";
  try {
    (await Deno.open("/dev/kvm", { read: true, write: true })).close();
  } catch {
    return "there is no /dev/kvm to use";
  }
  return await works("test", "-e", "/usr/include/linux/kvm.h") ? undefined : "no linux/kvm.h";
}

async function withoutQemu(): Promise<string | undefined> {
  if (!await works("python3", "--version")) return "python3 is not installed";
  return await works("qemu-system-x86_64", "--version") ? undefined : "QEMU is not installed";
}

async function failures(command: readonly string[]): Promise<string[]> {
  const failed: string[] = [];
  await conformance(command, (one) => {
    if (one.result === "failed") failed.push(`${one.name}: ${one.why}`);
  });
  return failed;
}

const noKvm = await withoutKvm();
Deno.test({
  name: `the example on /dev/kvm keeps to the protocol${noKvm ? ` (skipped: ${noKvm})` : ""}`,
  ignore: noKvm !== undefined,
  fn: async (t) => {
    const folder = await Deno.makeTempDir({ prefix: "trivisor-example-" });
    try {
      const program = `${folder}/kvm`;
      const args = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", program, fixture("kvm.c")];
      const { stderr } = await new Deno.Command("gcc", { args }).output();
      assertEquals(new TextDecoder().decode(stderr), "");
      for (const flags of [[], ["--forward"]]) {
        const name = flags[0] ?? "with devices of its own";
        await t.step(name, async () => assertEquals(await failures([program, ...flags]), []));
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

const noQemu = await withoutQemu();
Deno.test({
  name: `the example that wraps QEMU keeps to the protocol${noQemu ? ` (skipped: ${noQemu})` : ""}`,
  ignore: noQemu !== undefined,
  fn: async () => assertEquals(await failures(["python3", fixture("qemu.py")]), []),
});

// Real programs as an oracle: compiled by gcc for 32 and 64 bits, run by Linux on this machine's CPU and as guests of the
// embedded engine. What they print must be the same, whatever instructions the compiler took.
import { assert, assertEquals } from "@std/assert";
import { compile, FREESTANDING, hasCompiler, KERNEL, runFile } from "./testing_files.ts";

const PROGRAMS = ["hash", "compress", "sort", "floating", "extended", "interpret"] as const;
/** What gcc takes instructions from, by width. AVX is not announced, so it is in none. */
const TARGETS = [
  "-m64 -O0",
  "-m64 -O2",
  "-m64 -O3 -msse4.2 -mpopcnt",
  "-m64 -O2 -mbmi -mbmi2 -mlzcnt -mmovbe -madx",
  "-m32 -O1 -mno-sse -mfpmath=387",
  "-m32 -Os -march=i386 -mfpmath=387",
  "-m32 -O3 -msse4.1 -mfpmath=sse",
] as const;

/** What this CPU lacks can't be compared with it. */
const native = Deno.build.arch === "x86_64" && Deno.build.os === "linux";

for (const target of TARGETS) {
  Deno.test({
    name: `programs compiled by gcc ${target} print what they print on this machine`,
    ignore: !hasCompiler || !native,
    async fn(t) {
      for (const program of PROGRAMS) {
        await t.step(program, async () => {
          const sources = (platform: string) =>
            [program, "runtime", platform].map((name) => `programs/${name}.c`);
          const expected = await compile(`${target} ${FREESTANDING}`, sources("native"), run);
          const guest = await compile(`${target} ${KERNEL}`, sources("guest"), Deno.readFile);
          const limits = { instructions: 1_000_000_000 };
          const { text, end } = runFile("native", { guest }, { memory: 8 << 20 }, limits);
          assertEquals([text, end], [expected, { kind: "shutdown", code: 0 }]);
        });
      }
    },
  });
}

/** What a program of this machine prints. */
async function run(path: string): Promise<string> {
  const { success, signal, stdout } = await new Deno.Command(path).output();
  assert(success, `The program ended by ${signal}`);
  return new TextDecoder().decode(stdout);
}

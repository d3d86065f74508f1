// The suite that ships, as a user runs it: with read permission alone, everything passes, twice the same.
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** Folders by subject that the suite promises. */
const SUBJECTS = [
  "block",
  "compute",
  "console",
  "cpuid",
  "exceptions",
  "hypercalls",
  "mmio",
  "msr",
  "overhead",
  "paging",
  "port-io",
  "sensitive",
  "smp",
  "timer",
  "virtio",
];
const FEWEST_SCENARIOS = 30;

interface Result {
  readonly cases: { id: string; scenario: string; verdict: string; wallNs?: number }[];
  readonly comparisons: unknown[];
  readonly summary: Record<string, number>;
}

/** One run in a process of its own that may do nothing but read. */
async function run(): Promise<{ code: number; text: string }> {
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--ignore-env", "--allow-read", "core/cli/main.ts"],
      ...["run", "scenarios", "--reporter", "json"],
    ],
    cwd: ROOT,
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout } = await command.output();
  return { code, text: new TextDecoder().decode(stdout) };
}

const withoutTimes = (text: string) => text.replaceAll(/"wallNs": ?\d+/g, '"wallNs":0');

Deno.test("the shipped suite passes with read permission alone, and gives the same JSON twice", async () => {
  const [first, second] = [await run(), await run()];
  assertEquals(first.code, 0);
  const result: Result = JSON.parse(first.text);
  const bad = result.cases.filter(({ verdict }) => verdict !== "passed" && verdict !== "skipped");
  assertEquals(bad.map(({ id, verdict }) => `${id} ${verdict}`), []);
  assert(/"wallNs": ?\d+/.test(first.text), "the results tell no measured time");
  assertEquals(withoutTimes(first.text), withoutTimes(second.text));

  const scenarios = [...new Set(result.cases.map(({ scenario }) => scenario))];
  assert(scenarios.length >= FEWEST_SCENARIOS, `only ${scenarios.length} scenarios`);
  const folders = new Set(scenarios.map((name) => name.split("/")[0]));
  assertEquals(SUBJECTS.filter((subject) => !folders.has(subject)), []);
});

// What the README shows must be true: the scenario that it explains, what that prints, and where its links lead.
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { trivisor } from "./testing.ts";

const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
const README = Deno.readTextFileSync(join(ROOT, "README.md"));

/** The text of the only fenced block of this language. */
function block(language: string): string {
  const blocks = [...README.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].flatMap(
    ([, name, text = ""]) => name === language ? [text] : [],
  );
  assertEquals(blocks.length, 1, `blocks in ${language}`);
  return blocks[0] ?? "";
}

Deno.test("the README explains a scenario as it ships", () => {
  const shipped = Deno.readTextFileSync(join(ROOT, "scenarios/console/hello.yaml"));
  assert(shipped.includes(block("yaml")), "scenarios/console/hello.yaml reads otherwise");
});

Deno.test("the README shows what that scenario prints", async () => {
  const [command = "", ...shown] = block("text").trimEnd().split("\n");
  const args = command.replace(/^\$ deno task -q trivisor /, "").split(" ");
  const { stdout } = await trivisor(args, ROOT);
  const withoutTime = (text: string) => text.trimEnd().replace(/[\d.]+ s$/, "");
  assertEquals(withoutTime(stdout), withoutTime(shown.join("\n")));
});

Deno.test("the README's links lead to files", () => {
  const links = [...README.matchAll(/\]\(([^)]+)\)/g)].map(([, path = ""]) => path);
  assert(links.length > 0);
  for (const path of links) assert(Deno.statSync(join(ROOT, path)), path);
});

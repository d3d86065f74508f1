import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import { marks, withTable } from "./agreement.ts";
import { smallScenario, trivisor, withFiles } from "./testing.ts";

const MARKS = { ...marks(), file: "README.md" };
const MARKED = "# x\n\n<!-- agreement:begin -->\nold\n<!-- agreement:end -->\n\nrest\n";

Deno.test("withTable() puts the table between the marks, the same on every run", () => {
  const once = withTable(MARKED, "| a |\n", MARKS);
  assertEquals(
    once,
    "# x\n\n<!-- agreement:begin -->\n\n| a |\n\n<!-- agreement:end -->\n\nrest\n",
  );
  assertEquals(withTable(once, "| a |\n", MARKS), once);
});

Deno.test("withTable() complains of a file without marks, or with marks the wrong way round", () => {
  for (const text of ["", "<!-- agreement:end --> <!-- agreement:begin -->"]) {
    assertThrows(() => withTable(text, "| a |\n", MARKS), Error, "README.md has no lines");
  }
});

Deno.test("trivisor agreement skips what may not run, with the reason, and writes the table", async () => {
  const files = { "scenarios/s/a.yaml": smallScenario(), "table.md": MARKED };
  await withFiles(files, async (folder) => {
    // With permission to read alone, there is no KVM.
    const args = ["agreement", "--engine", "kvm"];
    const { code, stdout, stderr } = await trivisor(args, folder);
    assertEquals(code, 0, stderr);
    assertStringIncludes(stdout, "`full-hw@kvm`");
    assertStringIncludes(stdout, "`full-hw@kvm` 1, ");
    const written = await trivisor([...args, "--write", "table.md"], folder, ["--allow-write"]);
    assertEquals(written.code, 0, written.stderr);
    const text = await Deno.readTextFile(join(folder, "table.md"));
    assertStringIncludes(text, stdout);
    const missing = await trivisor([...args, "--write", "scenarios/s/a.yaml"], folder);
    assertEquals(missing.code, 2);
    assertStringIncludes(missing.stderr, "has no lines <!-- agreement:begin -->");
  });
});

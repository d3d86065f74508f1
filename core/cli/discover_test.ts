import { assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import { Complaint } from "./complaint.ts";
import { discover } from "./discover.ts";
import { smallScenario, trivisor, withFiles } from "./testing.ts";

const FILES = {
  "scenarios/b/two.yaml": "",
  "scenarios/b/one.yaml": "",
  "scenarios/a.yaml": "",
  "scenarios/.hidden/x.yaml": "",
  "scenarios/notes.txt": "",
  "mine/deep/own.yaml": "",
};

const ROWS: readonly (readonly [readonly string[], readonly string[]])[] = [
  [["scenarios"], ["a", "b/one", "b/two"]],
  [["scenarios/b"], ["b/one", "b/two"]],
  [["scenarios/b/two.yaml", "scenarios/b"], ["b/two", "b/one"]],
  [["scenarios/b", "scenarios/../scenarios/b/one.yaml"], ["b/one", "b/two"]],
  [["mine"], ["deep/own"]],
  [["mine/deep/own.yaml"], ["own"]],
];

for (const [paths, names] of ROWS) {
  Deno.test(`discover() finds ${names.join(", ")} when given ${paths.join(", ")}`, async () => {
    await withFiles(FILES, (folder) => {
      const found = discover(paths.map((path) => join(folder, path)));
      assertEquals(found.map((f) => f.name), [...names]);
      return Promise.resolve();
    });
  });
}

Deno.test("discover() complains when a path is not there or is no scenario", async () => {
  await withFiles(FILES, (folder) => {
    assertThrows(() => discover([join(folder, "nope")]), Complaint, "There is no file or folder");
    assertThrows(
      () => discover([join(folder, "scenarios/notes.txt")]),
      Complaint,
      "not a scenario",
    );
    return Promise.resolve();
  });
});

Deno.test("trivisor list names a scenario alike wherever it is started", async () => {
  const files = { "scenarios/b/one.yaml": smallScenario() };
  await withFiles(files, async (folder) => {
    const places: readonly (readonly [cwd: string, path: string])[] = [
      [".", "scenarios"],
      ["scenarios", "b"],
      ["scenarios/b", "."],
      ["scenarios/b", "one.yaml"],
    ];
    for (const [cwd, path] of places) {
      const { stdout } = await trivisor(["list", "--cases", "-b", "para", path], join(folder, cwd));
      assertEquals(stdout, "b/one@para+embedded\n", `${path} in ${cwd}`);
    }
  });
});

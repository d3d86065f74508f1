import { assertEquals, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { Complaint } from "./complaint.ts";
import { discover } from "./discover.ts";
import { withFiles } from "./testing.ts";

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

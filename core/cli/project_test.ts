import { assert, assertEquals, assertExists } from "@std/assert";
import { join } from "node:path";
import { filesOf, includesOf } from "./project.ts";
import { smallScenario, trivisor, withFiles } from "./testing.ts";

Deno.test("includesOf() finds libraries in the fixtures and files beside the scenario, and nothing elsewhere", async () => {
  const files = { "suite/x.yaml": "", "suite/own.inc": "nop", "secret.inc": "hlt" };
  await withFiles(files, (folder) => {
    const include = includesOf(join(folder, "suite/x.yaml"));
    assertExists(include("lib/virtio.inc"));
    assertEquals(include("own.inc")?.text, "nop");
    for (
      const name of [
        "../secret.inc",
        join(folder, "secret.inc"),
        "a/../../secret.inc",
        "",
        "\0",
        ".",
      ]
    ) {
      assertEquals(include(name), undefined, name);
    }
    return Promise.resolve();
  });
});

/** Links as an untrusted checkout may hold them: out of its folder, to what never ends, in a circle, to nowhere. */
const LINKS: Readonly<Record<string, string>> = {
  "out.inc": "../secret.inc",
  "absolute.inc": "/etc/passwd",
  "folder": "..",
  "endless.inc": "/dev/zero",
  "circle.inc": "circle.inc",
  "nowhere.inc": "gone.inc",
};
const LINKED = [
  "out.inc",
  "absolute.inc",
  "folder/secret.inc",
  "endless.inc",
  "circle.inc",
  "nowhere.inc",
];

Deno.test("includesOf() and filesOf() follow no link out of the scenario's folder", async () => {
  const files = { "suite/x.yaml": "", "suite/own.inc": "nop", "secret.inc": "hlt" };
  await withFiles(files, async (folder) => {
    const suite = join(folder, "suite");
    for (const [name, target] of Object.entries(LINKS)) {
      await Deno.symlink(target, join(suite, name));
    }
    await Deno.symlink("own.inc", join(suite, "alias.inc"));
    const scenario = join(suite, "x.yaml");
    const span = { file: { name: "x.yaml", text: "" }, start: 0, end: 0 };
    const [include, read] = [includesOf(scenario), filesOf(scenario)];
    for (const name of LINKED) {
      assertEquals(include(name), undefined, name);
      assertEquals(read({ value: name, span }), undefined, name);
    }
    assertEquals(include("alias.inc")?.text, "nop");
    assertEquals(read({ value: "alias.inc", span })?.length, 3);
    assertEquals(read({ value: "lib/virtio.inc", span })?.length !== undefined, true);
  });
});

Deno.test("includesOf() reads no pipe, which nobody may ever write to", async () => {
  await withFiles({ "x.yaml": "" }, async (folder) => {
    const made = await new Deno.Command("mkfifo", { args: [join(folder, "pipe.inc")] }).output();
    assert(made.success);
    assertEquals(includesOf(join(folder, "x.yaml"))("pipe.inc"), undefined);
  });
});

Deno.test("a suite shows the names and lines of its scenarios, and a terminal obeys none of them", async () => {
  const files = {
    "a\x1b[2J.yaml": smallScenario(),
    "b.yaml": smallScenario().replace("mov ", "\x9b31mmov \u202e"),
    "c.yaml": 'why: "\x1b[31m"',
  };
  await withFiles(files, async (folder) => {
    const { stdout, stderr } = await trivisor(["run", "-b", "native", "."], folder);
    // deno-lint-ignore no-control-regex
    assertEquals(/[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]/.exec(stdout + stderr), null);
    assert(stdout.includes("a␛[2J"), stdout);
  });
});

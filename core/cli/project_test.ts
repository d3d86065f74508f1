import { assertEquals, assertExists } from "@std/assert";
import { join } from "@std/path";
import { includesOf } from "./project.ts";
import { withFiles } from "./testing.ts";

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

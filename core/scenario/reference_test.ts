import { assert, assertEquals } from "@std/assert";
import reference from "../../scenarios/README.md" with { type: "text" };
import { scenarioSchema } from "./schema.ts";
import { kebab } from "./findings.ts";
import { problems } from "./testdata/load.ts";
import { EVENT_FAMILIES } from "./vocabulary.ts";

Deno.test("the examples in scenarios/README.md are scenarios", () => {
  const examples = [...reference.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, text]) => text ?? "");
  assert(examples.length >= 2);
  for (const text of examples) assertEquals(problems(text), []);
});

Deno.test("scenarios/README.md names every key", () => {
  for (const key of Object.keys(scenarioSchema.shape)) {
    assert(reference.includes(`\`${key}\``), key);
  }
});

Deno.test("scenarios/README.md names every kind of event, each exit with its fields", () => {
  for (const { kinds } of Object.values(EVENT_FAMILIES)) {
    for (const kind of Object.keys(kinds)) assert(reference.includes(`\`${kind}\``), kind);
  }
  for (const [kind, fields] of Object.entries(EVENT_FAMILIES.exits.kinds)) {
    const row = reference.split("\n").find((line) =>
      line.startsWith("| ") && line.split("|")[1]?.includes(`\`${kind}\``)
    );
    const names = Object.keys(fields)
      .filter((name) => name !== "via" && name !== "cpu").map(kebab);
    assertEquals(row?.split("|")[2]?.trim(), names.join(", ") || "none", kind);
  }
});

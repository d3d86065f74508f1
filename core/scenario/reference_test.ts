import { assert, assertEquals } from "@std/assert";
import reference from "../../scenarios/README.md" with { type: "text" };
import { scenarioSchema } from "./schema.ts";
import { problems } from "./testdata/load.ts";

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

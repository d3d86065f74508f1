import { assert, assertEquals } from "@std/assert";
import committed from "../../scenarios/schema.json" with { type: "json" };
import { jsonSchema, scenarioSchema } from "./schema.ts";
import { GOOD, load } from "./testdata/load.ts";
import { Findings } from "./findings.ts";
import type { Node } from "./yaml/node.ts";
import { parseYaml } from "./yaml/parse.ts";

/** The keywords that `structure.ts` understands, and annotations. */
const KEYWORDS = [
  "$schema",
  "$ref",
  "$defs",
  "type",
  "title",
  "description",
  "x-keys",
  "anyOf",
  "enum",
  "pattern",
  "properties",
  "required",
  "additionalProperties",
  "propertyNames",
  "minProperties",
  "maxProperties",
  "items",
  "prefixItems",
  "minItems",
  "maxItems",
];

/** Calls `visit` for every schema in a schema, with the key whose value it describes. */
function walk(
  schema: unknown,
  visit: (schema: object, key: string | undefined) => void,
  key?: string,
): void {
  if (typeof schema !== "object" || schema === null) return;
  visit(schema, key);
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === "properties" || keyword === "$defs") {
      for (const [name, member] of Object.entries(value)) {
        walk(member, visit, keyword === "properties" ? name : undefined);
      }
    } else if (Array.isArray(value)) value.forEach((member) => walk(member, visit));
    else walk(value, visit);
  }
}

/** What zod is to see of a scenario. */
function plain(node: Node): unknown {
  switch (node.kind) {
    case "scalar":
      return node.value;
    case "list":
      return node.items.map(plain);
    case "map":
      return Object.fromEntries(node.entries.map(({ key, value }) => [key, plain(value)]));
  }
}

Deno.test("`jsonSchema()` is what scenarios/schema.json holds (`deno task schema` writes it)", () => {
  assertEquals(JSON.stringify(committed, null, 2) + "\n", jsonSchema());
});

Deno.test("`jsonSchema()` uses no keyword that is not checked", () => {
  walk(committed, (schema) => {
    for (const keyword of Object.keys(schema)) assert(KEYWORDS.includes(keyword), keyword);
  });
});

Deno.test("`jsonSchema()` describes every key, for editors to show", () => {
  walk(committed, (schema, key) => {
    if (key === undefined || "description" in schema || "$ref" in schema) return;
    // Kinds of event speak for themselves: they are the field's own words.
    assert("x-keys" in schema, `The key ${key} has no description`);
  });
});

Deno.test("`scenarioSchema` accepts the scenarios that `parseScenario()` accepts", () => {
  for (const name of GOOD) {
    const tree = parseYaml(load(name), new Findings());
    assert(tree);
    const { error } = scenarioSchema.safeParse(plain(tree));
    assertEquals(error, undefined, name);
  }
});

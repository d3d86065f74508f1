// The part of JSON Schema (draft 2020-12) that `schema.ts` makes use of, and whether a node of a YAML tree satisfies it.
import type { MapNode, Node } from "./yaml/node.ts";

/** The keywords of JSON Schema that are understood. Annotations but for `title` and `x-keys` are ignored. */
export interface JsonSchema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly "x-keys"?: string;
  readonly anyOf?: readonly JsonSchema[];
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly propertyNames?: JsonSchema;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly items?: JsonSchema | boolean;
  readonly prefixItems?: readonly JsonSchema[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly $defs?: Readonly<Record<string, JsonSchema>>;
}

/** A schema of one type. */
export type Alternative = JsonSchema & { readonly type: string };

/**
 * Takes an imported JSON file for a schema. The type that TypeScript infers of the file is of no use, and `schema_test.ts`
 * holds that the file has the keywords above and no others.
 */
export function asJsonSchema(file: unknown): JsonSchema {
  const isSchema = (value: unknown): value is JsonSchema => typeof value === "object";
  return isSchema(file) ? file : {};
}

/** Is a node of the type that a schema without alternatives wants? */
export function fits(node: Node, { type }: Alternative): boolean {
  switch (type) {
    case "object":
      return node.kind === "map";
    case "array":
      return node.kind === "list";
    case "integer":
      return node.kind === "scalar" && typeof node.value === "bigint";
    case "number":
      return node.kind === "scalar" &&
        (typeof node.value === "number" || typeof node.value === "bigint");
    case "boolean":
    case "string":
      return node.kind === "scalar" && typeof node.value === type;
    default:
      return true;
  }
}

/** Of several kinds of map, the one that has most of the node's keys. */
export function mostAlike(node: MapNode, options: readonly Alternative[]): JsonSchema | undefined {
  const shared = (option: JsonSchema) =>
    node.entries.filter(({ key }) => Object.hasOwn(option.properties ?? {}, key)).length;
  return options.toSorted((a, b) => shared(b) - shared(a))[0];
}

/** What keeps a text from being what a schema wants: it is none of the words, or does not match the pattern. */
export function stringFault(text: string, schema: JsonSchema): "word" | "pattern" | undefined {
  if (schema.enum && !schema.enum.includes(text)) return "word";
  if (schema.pattern && !new RegExp(schema.pattern, "s").test(text)) return "pattern";
  return undefined;
}

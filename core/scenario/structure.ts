// Checks the structure of a scenario against `scenarios/schema.json`, the very file that editors check it against, and says
// what is wrong in words. It knows the few keywords of JSON Schema that `schema.ts` makes use of; a test holds that there
// are no others.
import type { Span } from "../base/source.ts";
import schemaOfScenarios from "../../scenarios/schema.json" with { type: "json" };
import {
  type Alternative,
  asJsonSchema,
  fits,
  type JsonSchema,
  mostAlike,
  stringFault,
} from "./json_schema.ts";
import { hint, TYPE_NOUNS, unquotedTemplate } from "./structure_hints.ts";
import { alternatives, type Findings, kebab, suggest } from "./findings.ts";
import { describeNode, type MapNode, type Node, type ScalarNode } from "./yaml/node.ts";
import { endsWithProgram } from "./yaml/program_block.ts";
import { booleanHint, numberHint } from "./yaml/scalar.ts";

const SCHEMA = asJsonSchema(schemaOfScenarios);

/** Stands for the key that the whole scenario would be the value of. */
const ROOT = "scenario";

/** Reports where `root` departs from the structure of a scenario. */
export function checkStructure(root: Node, findings: Findings): void {
  new Checker(SCHEMA.$defs ?? {}, findings).check(root, SCHEMA, ROOT);
}

/** The same of another kind of file, which messages call `name`. */
export function checkAgainst(
  root: Node,
  schema: JsonSchema,
  name: string,
  findings: Findings,
): void {
  new Checker(schema.$defs ?? {}, findings).check(root, schema, name);
}

class Checker {
  constructor(
    readonly definitions: Readonly<Record<string, JsonSchema>>,
    readonly findings: Findings,
  ) {}

  /** `name` is the key, or the noun, that the node is the value of. */
  check(node: Node, schema: JsonSchema, name: string): void {
    // What YAML itself makes trouble with has been told already.
    if (node.kind === "scalar" && this.findings.has(node.span)) return;
    const options = this.#options(schema);
    const fitting = options.filter((option) => fits(node, option));
    if (fitting.length === 0) {
      this.#wrongType(node, this.#resolve(schema), options, name);
    } else if (node.kind === "scalar") {
      this.#scalar(node, fitting, schema);
    } else if (node.kind === "list") {
      const [option] = fitting;
      if (option) this.#list(node.items, node.span, option, name);
    } else {
      const option = mostAlike(node, fitting);
      if (option) this.#map(node, option, name);
    }
  }

  #resolve(schema: JsonSchema): JsonSchema {
    const name = schema.$ref?.replace("#/$defs/", "");
    if (name === undefined) return schema;
    // A title beside the reference says better than the definition's own what is expected at this place.
    return { ...this.definitions[name], ...(schema.title ? { title: schema.title } : {}) };
  }

  /** The alternatives of a schema, each of one type, unions in unions laid flat. */
  #options(schema: JsonSchema): readonly Alternative[] {
    const resolved = this.#resolve(schema);
    if (resolved.anyOf) return resolved.anyOf.flatMap((option) => this.#options(option));
    const { type } = resolved;
    if (typeof type === "object") return type.map((each) => ({ ...resolved, type: each }));
    return type === undefined ? [] : [{ ...resolved, type }];
  }

  #titled(schema: JsonSchema): string | undefined {
    return schema.title ?? this.#resolve(schema).title;
  }

  #wrongType(
    node: Node,
    schema: JsonSchema,
    options: readonly Alternative[],
    name: string,
  ): void {
    const expected = schema.title && !schema.enum ? schema.title : alternatives([
      ...new Set(options.map(({ type, title }) => TYPE_NOUNS[type] ?? title ?? "")),
    ]);
    if (name === ROOT) {
      this.findings.error(
        node.span,
        `A scenario is a map with the keys \`why\` and \`guest\`, not ${describeNode(node)}`,
        "`trivisor new NAME` writes one to start from",
      );
      return;
    }
    if (node.kind === "scalar" && node.value === null) {
      this.findings.error(
        node.span,
        `"${name}" has no value`,
        schema.properties ? `Write ${expected}, or ${name} without the colon` : `Write ${expected}`,
      );
      return;
    }
    this.findings.error(
      node.span,
      `Expected ${expected}, found ${describeNode(node)}`,
      hint(node, options),
    );
  }

  /** The keys that a map could have here. */
  #keysOf(schema: JsonSchema): readonly string[] {
    return this.#options(schema).flatMap(({ properties }) => Object.keys(properties ?? {}));
  }

  #scalar(node: ScalarNode, options: readonly Alternative[], schema: JsonSchema): void {
    const text = node.value;
    if (typeof text !== "string") return;
    const faults = options.map((option) => stringFault(text, option));
    if (faults.some((fault) => fault === undefined)) return;
    const words = options.flatMap((option) => option.enum ?? []);
    const hinted = numberHint(text) ?? booleanHint(text);
    if (words.length > 0) {
      const noun = options.find((option) => option.enum)?.title ?? "word";
      const mapped = this.#keysOf(schema).includes(text)
        ? `Write { ${text}: ... }`
        : suggest(text, words);
      this.findings.error(node.span, `Unknown ${noun} "${text}"`, mapped);
    } else {
      this.findings.error(
        node.span,
        `Expected ${this.#titled(schema) ?? "another text"}, found ${describeNode(node)}`,
        hinted,
      );
    }
  }

  #list(items: readonly Node[], span: Span, schema: JsonSchema, name: string): void {
    const { minItems = 0, maxItems = Infinity, prefixItems, items: rest } = schema;
    const least = Math.max(minItems, prefixItems?.length ?? 0);
    const most = prefixItems && !rest ? prefixItems.length : maxItems;
    if (items.length < least || items.length > most) {
      const count = items.length < least ? `at least ${least}` : `at most ${most}`;
      this.findings.error(
        span,
        schema.title
          ? `Expected ${schema.title}, found ${items.length}`
          : `Expected ${count} ${most === 1 ? "item" : "items"}, found ${items.length}`,
      );
      return;
    }
    items.forEach((item, index) => {
      const each = prefixItems?.[index] ?? (typeof rest === "object" ? rest : undefined);
      if (each) this.check(item, each, name);
    });
  }

  #map(node: MapNode, schema: JsonSchema, name: string): void {
    const properties = schema.properties ?? {};
    const noun = schema["x-keys"] ?? this.#noun(schema);
    const before = this.findings.count;
    const misspelt = new Set<string>();
    for (const [index, { key, keySpan, value }] of node.entries.entries()) {
      const known = [key, kebab(key)].find((name) => Object.hasOwn(properties, name));
      const property = known === undefined ? undefined : properties[known];
      if (property) {
        this.check(value, property, key);
      } else if (typeof schema.additionalProperties === "object") {
        if (this.#key(key, keySpan, schema)) this.check(value, schema.additionalProperties, key);
      } else {
        const suggestion = suggest(key, Object.keys(properties));
        for (const [, word] of suggestion?.matchAll(/"(.*?)"/g) ?? []) misspelt.add(word ?? "");
        this.findings.error(
          keySpan,
          noun === "key" && name !== ROOT
            ? `Unknown key "${key}" in \`${name}\``
            : `Unknown ${noun} "${key}"`,
          endsWithProgram(node.entries[index - 1])
            ? `If ${key}: is a line of the program, indent it at least as far as the program's first line`
            : unquotedTemplate(node) ?? suggestion ??
              (name === ROOT ? this.#belongs(key, properties) : undefined),
        );
      }
    }
    for (const key of schema.required ?? []) {
      if (misspelt.has(key) || node.entries.some((entry) => entry.key === key)) continue;
      const first = node.entries[0]?.keySpan ?? node.span;
      this.findings.error(first, `The key "${key}" is missing`, `Add \`${key}: ...\` here`);
    }
    const { minProperties = 0, maxProperties = Infinity } = schema;
    const count = node.entries.length;
    if (this.findings.count > before || (count >= minProperties && count <= maxProperties)) return;
    this.findings.error(
      count > maxProperties ? node.entries[maxProperties]?.keySpan ?? node.span : node.span,
      `Expected ${maxProperties === minProperties ? "one" : "at least one"} ${noun}, found ${
        count || "none"
      }`,
      count > maxProperties
        ? `Give each ${noun} a map of its own`
        : suggest("", Object.keys(properties)),
    );
  }

  /** Which part of the scenario has this key. */
  #belongs(key: string, parts: Readonly<Record<string, JsonSchema>>): string | undefined {
    const place = Object.entries(parts).find(([, part]) =>
      Object.hasOwn(this.#resolve(part).properties ?? {}, key)
    );
    return place && `\`${key}\` belongs under \`${place[0]}\``;
  }

  /** What the keys of a map are called. */
  #noun(schema: JsonSchema): string {
    const names = schema.propertyNames;
    return (names ? this.#titled(names) : undefined) ?? "key";
  }

  /** Is `key` one that the schema allows? Reports it if not. */
  #key(key: string, span: Span, schema: JsonSchema): boolean {
    if (!schema.propertyNames) return true;
    const names = this.#resolve(schema.propertyNames);
    if (stringFault(key, names) === undefined) return true;
    if (names.enum) {
      this.findings.error(
        span,
        `Unknown ${names.title ?? "key"} "${key}"`,
        suggest(key, names.enum),
      );
    } else {
      this.findings.error(span, `Expected ${names.title ?? "another key"}, found "${key}"`);
    }
    return false;
  }
}

// What to tell a person whose scenario has a value of the wrong type, where YAML's own rules are likely to be behind it.
import { type Alternative, stringFault } from "./json_schema.ts";
import type { MapNode, Node } from "./yaml/node.ts";
import { booleanHint, numberHint } from "./yaml/scalar.ts";

/** The types of JSON Schema in words. */
export const TYPE_NOUNS: Readonly<Record<string, string>> = {
  integer: "an integer",
  number: "a number",
  boolean: "true or false",
  string: "a text",
  array: "a list",
  object: "a map",
};

/** What to do about a value of the wrong type, where YAML's own rules are likely to be behind it. */
export function hint(node: Node, options: readonly Alternative[]): string | undefined {
  const wants = (type: string) => options.some((option) => option.type === type);
  if (node.kind === "map") {
    const text = wants("string") ? unquotedTemplate(node) : undefined;
    return text ?? (wants("array") ? "Write [ ] around it for a list of one" : undefined);
  }
  if (node.kind === "list") return undefined;
  const { value } = node;
  if (typeof value === "string") {
    return (wants("integer") || wants("number") ? numberHint(value) : undefined) ??
      (wants("boolean") ? booleanHint(value) : undefined) ??
      (wants("array") ? `Write [${value}] for a list of one` : undefined);
  }
  // `1e6` is no integer for YAML.
  if (wants("integer") && typeof value === "number" && Number.isSafeInteger(value)) {
    return `Write ${value}`;
  }
  const text = node.span.file.text.slice(node.span.start, node.span.end);
  const quotable = options.some((option) =>
    option.type === "string" && stringFault(text, option) === undefined
  );
  if (quotable && node.style === "plain" && value !== null) return `Quote it: "${text}"`;
  if (wants("array") && value !== null) return `Write [${value}] for a list of one`;
  return undefined;
}

/** `{length}` without quotes is a map for YAML: what to do about it, if that is what the map is. */
export function unquotedTemplate({ entries }: MapNode): string | undefined {
  const [entry] = entries;
  if (entries.length !== 1 || entry?.value.kind !== "scalar" || entry.value.value !== null) {
    return undefined;
  }
  const { file, start } = entry.keySpan;
  return file.text[start - 1] === "{"
    ? `YAML reads {${entry.key}} as a map: write "{${entry.key}}" in quotes`
    : undefined;
}

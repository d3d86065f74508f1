// The combinations of parameters that a scenario is run with. `parameters` spans a cross product, `matrix.exclude` takes
// combinations out of it and `matrix.include` adds to it, by the rules of a GitHub Actions matrix.
import type { Span } from "../base/source.ts";
import type { Parameters, ParameterValue } from "./case.ts";
import type { Findings } from "./findings.ts";
import { SECTOR_NUMBER } from "./template.ts";
import { entriesOf, itemsOf, type Node, valueOf } from "./yaml/node.ts";

/** Combinations of one scenario. */
const MAX_COMBINATIONS = 1000;

/** The combinations that a scenario (of checked structure) asks for, in order; one empty one if it has no parameters. */
export function readCombinations(root: Node, findings: Findings): readonly Parameters[] {
  const axes = entriesOf(valueOf(root, "parameters"));
  for (const { key, keySpan } of axes) {
    if (key === SECTOR_NUMBER) {
      findings.error(
        keySpan,
        `The name "${key}" is taken: it is the sector's number in a disk's pattern`,
        "Choose a longer name",
      );
    }
  }
  let combinations: Parameters[] = [{}];
  for (const { key, keySpan, value } of axes) {
    // A single value where a list belongs has been told of: the parameter is there all the same.
    const items = value.kind === "list" ? itemsOf(value) : [value];
    const values = items.map((item) => readValue(item, findings));
    if (combinations.length * values.length > MAX_COMBINATIONS) return tooMany(keySpan, findings);
    combinations = combinations.flatMap((combination) =>
      values.map((value) => with_(combination, [[key, value]]))
    );
  }
  const matrix = valueOf(root, "matrix");
  const names = axes.map(({ key }) => key);
  const excluded = readMatrix(valueOf(matrix, "exclude"), findings, names);
  combinations = combinations.filter((combination) =>
    !excluded.some(({ values }) =>
      values.length > 0 && values.every(([key, value]) => combination[key] === value)
    )
  );
  const included = readMatrix(valueOf(matrix, "include"), findings);
  combinations = include(
    axes.length === 0 ? [] : combinations,
    included.map(({ values }) => values),
  );
  if (combinations.length > MAX_COMBINATIONS) {
    return tooMany(valueOf(matrix, "include")?.span, findings);
  }
  if (axes.length === 0 && included.length === 0) return [{}];
  if (combinations.length === 0) {
    const place = valueOf(matrix, "exclude")?.span;
    if (place) findings.error(place, "Every combination of the parameters is excluded");
  }
  return unique(combinations, valueOf(root, "parameters")?.span ?? matrix?.span, findings);
}

type Pairs = readonly (readonly [string, ParameterValue])[];

function with_(combination: Parameters, pairs: Pairs): Parameters {
  return Object.fromEntries([...Object.entries(combination), ...pairs]);
}

/**
 * Each entry is added to every original combination of which it changes no original value; values added by earlier entries
 * may be overwritten. An entry that fits none is a combination of its own.
 */
function include(originals: readonly Parameters[], entries: readonly Pairs[]): Parameters[] {
  const extended = [...originals];
  const added: Parameters[] = [];
  for (const pairs of entries) {
    let fitted = false;
    originals.forEach((original, index) => {
      const contradicts = pairs.some(([key, value]) =>
        Object.hasOwn(original, key) && original[key] !== value
      );
      if (contradicts) return;
      extended[index] = with_(extended[index] ?? original, pairs);
      fitted = true;
    });
    if (!fitted) added.push(with_({}, pairs));
  }
  return [...extended, ...added];
}

function readMatrix(
  list: Node | undefined,
  findings: Findings,
  names?: readonly string[],
): readonly { readonly values: Pairs }[] {
  return itemsOf(list).map((item) => ({
    values: entriesOf(item).map(({ key, keySpan, value }) => {
      if (names && !names.includes(key)) {
        findings.error(keySpan, `Nothing to exclude: "${key}" is not under \`parameters\``);
      }
      return [key, readValue(value, findings)] as const;
    }),
  }));
}

function readValue(node: Node, findings: Findings): ParameterValue {
  if (node.kind !== "scalar") return 0;
  const { value } = node;
  if (typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value !== "bigint") return 0;
  if (!Number.isSafeInteger(Number(value))) {
    findings.error(
      node.span,
      "A parameter must stay below 2^53",
      "Write a text, and use it in the program",
    );
  }
  return Number(value);
}

function tooMany(span: Span | undefined, findings: Findings): readonly Parameters[] {
  if (span) {
    findings.error(
      span,
      `The parameters make more than ${MAX_COMBINATIONS} combinations`,
      "Split the scenario, or leave out values",
    );
  }
  return [];
}

/** Two equal combinations would make two cases of one name. */
function unique(
  combinations: readonly Parameters[],
  span: Span | undefined,
  findings: Findings,
): readonly Parameters[] {
  const seen = new Map<string, Parameters>();
  for (const combination of combinations) {
    const name = describeParameters(combination);
    if (seen.has(name) && span) findings.error(span, `The combination ${name} is there twice`);
    seen.set(name, combination);
  }
  return [...seen.values()];
}

/** `[length=64,mode="a, b"]`, the part of a case's id; empty without parameters. */
export function describeParameters(parameters: Parameters): string {
  const parts = Object.entries(parameters).map(([name, value]) =>
    `${name}=${
      typeof value === "string" && !/^[\w.:\/ +-]+$/.test(value) ? JSON.stringify(value) : value
    }`
  );
  return parts.length === 0 ? "" : `[${parts.join(",")}]`;
}

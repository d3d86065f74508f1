// Puts parameters into a scenario: `{name}` and `{name * 2}` in any text value, and in the program. `{{` and `}}` are braces.
// What is left alone: braces around nothing but digits and commas (a regular expression's `x{3}`), `%{1}` of an assembly
// macro, assembly comments, `{n}` in a disk's pattern, and the prose of `why`.
import type { Span } from "../base/source.ts";
import type { Parameters, ParameterValue, Program } from "./case.ts";
import { evaluate } from "./expression.ts";
import type { Findings } from "./findings.ts";
import type { Entry, Node, Scalar, ScalarNode } from "./yaml/node.ts";
import { lineSpans } from "./yaml/program_block.ts";

/** The sector number in a disk's pattern; no parameter may have this name. */
export const SECTOR_NUMBER = "n";

/** Keys of the scenario whose values hold no parameters. */
const VERBATIM = ["why", "tags", "parameters", "matrix", "requires"];

/** `{{`, `}}`, `{...}`, or a brace that has no partner. */
const BRACES = /\{\{|\}\}|\{([^{}\n]*)\}|[{}]/g;

/** The whole scenario with parameters put in, but for the program: see {@linkcode expandProgram}. */
export function expandScenario(root: Node, parameters: Parameters, findings: Findings): Node {
  if (root.kind !== "map") return root;
  const expander = new Expander(parameters, findings);
  const entries = root.entries.map((entry) =>
    VERBATIM.includes(entry.key) ? entry : expander.entry(entry)
  );
  return { ...root, entries };
}

class Expander {
  constructor(readonly parameters: Parameters, readonly findings: Findings) {}

  entry(entry: Entry): Entry {
    // The program has rules of its own, and conditions are expressions, not texts with expressions in them.
    if (entry.key === "program" || entry.key === "when") return entry;
    return { ...entry, value: this.node(entry.value, entry.key) };
  }

  node(node: Node, key: string): Node {
    switch (node.kind) {
      case "map":
        return { ...node, entries: node.entries.map((entry) => this.entry(entry)) };
      case "list":
        return { ...node, items: node.items.map((item) => this.node(item, key)) };
      case "scalar":
        return typeof node.value === "string" && /[{}]/.test(node.value)
          ? { ...node, value: this.#text(node, node.value, key) }
          : node;
    }
  }

  #text(node: ScalarNode, text: string, key: string): Scalar {
    const whole = /^\{([^{}\n]*)\}$/.exec(text)?.[1];
    if (whole !== undefined && !isLiteral(whole, key)) {
      const value = put(whole, this.parameters, node.span, this.findings);
      return typeof value === "number" ? BigInt(value) : value ?? text;
    }
    return substitute(
      text,
      this.parameters,
      node.span,
      this.findings,
      (inner) => isLiteral(inner, key),
    );
  }
}

/** Are braces around this text part of the text? */
function isLiteral(inner: string, key: string): boolean {
  return /^[0-9, ]*$/.test(inner) || (key === "pattern" && inner === SECTOR_NUMBER);
}

/** The value of one `{...}`; undefined after a diagnostic. `span` is where the text stands that holds it. */
function put(
  inner: string,
  parameters: Parameters,
  span: Span,
  findings: Findings,
): ParameterValue | undefined {
  const result = evaluate(inner, parameters);
  if ("value" in result) return result.value;
  const { file, start, end } = span;
  const at = file.text.indexOf(`{${inner}}`, start);
  const found = at === -1 || at >= end ? undefined : at + 1 + result.at;
  findings.error(
    found === undefined ? span : { file, start: found, end: found + result.length },
    result.fault,
    result.suggestion ?? "Write {{ and }} for braces that are no expression",
  );
  return undefined;
}

function substitute(
  text: string,
  parameters: Parameters,
  span: Span,
  findings: Findings,
  literal: (inner: string) => boolean,
): string {
  return text.replaceAll(BRACES, (found: string, inner: string | undefined) => {
    if (found === "{{") return "{";
    if (found === "}}") return "}";
    if (inner === undefined) {
      findings.error(span, `A lone ${found}`, `Write ${found}${found} for a brace`);
      return found;
    }
    return literal(inner) ? found : String(put(inner, parameters, span, findings) ?? "0");
  });
}

/** The program with parameters put in, and where its lines come from. */
export function expandProgram(
  node: ScalarNode,
  parameters: Parameters,
  findings: Findings,
): Program {
  const lines = lineSpans(node);
  const source = typeof node.value === "string" ? node.value : "";
  const text = source.split("\n").map((line, index) => {
    if (!/[{}]/.test(line)) return line;
    const code = line.slice(0, commentStart(line));
    const span = lines[index] ?? node.span;
    // Macro parameters are hidden behind a character that no program holds.
    const hidden = code.replaceAll(/%\{([^{}]*)\}/g, "%\u0001$1\u0002");
    const put = substitute(hidden, parameters, span, findings, () => false);
    return put.replaceAll("\u0001", "{").replaceAll("\u0002", "}") + line.slice(code.length);
  });
  return { text: text.join("\n"), lines };
}

/** Where the comment of an assembly line begins: at the first semicolon outside quotes. */
function commentStart(line: string): number {
  let quote = "";
  for (let index = 0; index < line.length; index++) {
    const character = line.charAt(index);
    if (quote !== "") {
      if (character === "\\" && quote === "`") index++;
      else if (character === quote) quote = "";
    } else if (character === ";") return index;
    else if (character === "'" || character === '"' || character === "`") quote = character;
  }
  return line.length;
}

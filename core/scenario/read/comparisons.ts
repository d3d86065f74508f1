// Reads `compare`: what the back ends are expected to cost, weighed against each other.
import { type Backend, BACKENDS } from "../../base/backend.ts";
import type { Comparison, Parameters } from "../case.ts";
import { evaluate } from "../expression.ts";
import type { Findings } from "../findings.ts";
import { itemsOf, type MapNode, type Node, textOf, valueOf } from "../yaml/node.ts";

/** The comparisons whose condition, if they have one, holds for these parameters. */
export function readComparisons(
  root: Node,
  parameters: Parameters,
  findings: Findings,
): readonly Comparison[] {
  return itemsOf(valueOf(root, "compare")).flatMap((node) => {
    if (node.kind !== "map") return [];
    const comparison = readComparison(node, findings);
    return comparison && holds(valueOf(node, "when"), parameters, findings) ? [comparison] : [];
  });
}

function readComparison(node: MapNode, findings: Findings): Comparison | undefined {
  const metric = textOf(valueOf(node, "metric"));
  const order = valueOf(node, "order");
  const [of, times] = [valueOf(node, "of"), valueOf(node, "times")];
  const [atMost, atLeast] = [valueOf(node, "at-most"), valueOf(node, "at-least")];
  if (metric === undefined) return undefined;
  const profile = textOf(valueOf(node, "profile"));
  const priced = profile === undefined ? {} : { profile };
  if (order) {
    const stray = of ?? times ?? atMost ?? atLeast;
    if (stray) {
      findings.error(
        stray.span,
        "`order` can't be combined with `of`, `times`, `at-most` or `at-least`",
        "Make it a comparison of its own",
      );
    }
    const backends = itemsOf(order).flatMap((item) => backendOf(item) ?? []);
    const twice = itemsOf(order).find((_, index) =>
      backends.indexOf(backends[index] ?? "native") !== index
    );
    if (twice && backends.length === itemsOf(order).length) {
      findings.error(
        twice.span,
        `Nothing is less than itself: "${textOf(twice)}" is there twice`,
        "Remove one",
      );
    }
    return { is: "order", metric, order: backends, ...priced, span: node.span };
  }
  const [weighed, against] = [backendOf(of), backendOf(times)];
  if (!of || !times || !(atMost ?? atLeast)) {
    findings.error(
      node.span,
      "A comparison has either `order`, or `of`, `times` and one of `at-most` and `at-least`",
      "Write { metric: exits, order: [para, full-hw] } or " +
        "{ metric: exits, of: para, at-most: 0.5, times: full-hw }",
    );
    return undefined;
  }
  if (!weighed || !against) return undefined;
  return {
    is: "ratio",
    metric,
    of: weighed,
    times: against,
    ...(atMost ? { atMost: readFactor(atMost, findings) } : {}),
    ...(atLeast ? { atLeast: readFactor(atLeast, findings) } : {}),
    ...priced,
    span: node.span,
  };
}

function backendOf(node: Node | undefined): Backend | undefined {
  return BACKENDS.find((backend) => backend === textOf(node));
}

function readFactor(node: Node, findings: Findings): number {
  const factor = node.kind === "scalar" ? Number(node.value) : 0;
  if (!(factor >= 0)) findings.error(node.span, "A factor is zero or more");
  return factor;
}

/** The value of a `when`; true if there is none. */
function holds(node: Node | undefined, parameters: Parameters, findings: Findings): boolean {
  const text = textOf(node);
  if (!node || text === undefined) return true;
  const result = evaluate(text, parameters);
  if ("value" in result && typeof result.value === "boolean") return result.value;
  if ("value" in result) {
    findings.error(
      node.span,
      "The condition is neither true nor false",
      'Compare, as in "length >= 64"',
    );
    return false;
  }
  const { file, start, end } = node.span;
  const at = file.text.indexOf(text, start);
  const found = at === -1 || at >= end ? node.span : {
    file,
    start: at + result.at,
    end: at + result.at + result.length,
  };
  findings.error(found, result.fault, result.suggestion);
  return false;
}

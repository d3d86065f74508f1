// Reads expectations on the three sequences of a trace: exits, accesses, injections.
import type { EventPattern, Located, SequenceExpectation, ValueMatcher } from "../case.ts";
import type { Findings } from "../findings.ts";
import { EVENT_FAMILIES, type EventFamilyName, fieldOf } from "../vocabulary.ts";
import { entriesOf, itemsOf, type Node, textOf, valueOf } from "../yaml/node.ts";
import { locatedValue, readValue } from "./values.ts";

/** Reads `{ exactly, in-order, any-order, never, counts }`. */
export function readSequence(
  node: Node,
  family: EventFamilyName,
  findings: Findings,
): SequenceExpectation {
  const patterns = (key: string): Located<readonly EventPattern[]> | undefined => {
    const list = valueOf(node, key);
    return list && {
      value: itemsOf(list).map((item) => readPattern(item, family, findings)),
      span: list.span,
    };
  };
  const exactly = patterns("exactly");
  const inOrder = patterns("in-order");
  const anyOrder = patterns("any-order");
  const never = patterns("never");
  const counts = valueOf(node, "counts");
  return {
    ...(exactly ? { exactly } : {}),
    ...(inOrder ? { inOrder } : {}),
    ...(anyOrder ? { anyOrder } : {}),
    ...(never ? { never } : {}),
    ...(counts ? { counts: readCounts(counts, findings) } : {}),
  };
}

function readCounts(
  node: Node,
  findings: Findings,
): Readonly<Record<string, Located<ValueMatcher>>> {
  return Object.fromEntries(
    entriesOf(node).map(({ key, value }) => [key, locatedValue(value, findings)]),
  );
}

/** `hlt`, or `{ io: { port: 0x3f8, times: 2 } }`. Fields get the names that they have in the event. */
function readPattern(node: Node, family: EventFamilyName, findings: Findings): EventPattern {
  const kind = textOf(node);
  if (kind !== undefined) return { kind, fields: {}, span: node.span };
  const [entry] = entriesOf(node);
  if (!entry) return { kind: "", fields: {}, span: node.span };
  const fields: [string, ValueMatcher][] = [];
  let times: ValueMatcher | undefined;
  for (const { key, keySpan, value } of entriesOf(entry.value)) {
    const matcher = readValue(value, findings);
    if (key === "times") {
      times = matcher;
      continue;
    }
    const name = fieldOf(EVENT_FAMILIES[family], entry.key, key)?.name ?? key;
    if (fields.some(([other]) => other === name)) {
      findings.error(keySpan, `"${key}" is a second name for "${name}"`, "Keep one of them");
    }
    fields.push([name, matcher]);
  }
  return {
    kind: entry.key,
    fields: Object.fromEntries(fields),
    ...(times ? { times } : {}),
    span: node.span,
  };
}

/** `later` laid over `earlier`, key by key, and counts kind by kind. */
export function overlaySequence(
  earlier: SequenceExpectation | undefined,
  later: SequenceExpectation | undefined,
): SequenceExpectation | undefined {
  if (!earlier || !later) return later ?? earlier;
  const counts = { ...earlier.counts, ...later.counts };
  return {
    ...earlier,
    ...later,
    ...(Object.keys(counts).length > 0 ? { counts } : {}),
  };
}

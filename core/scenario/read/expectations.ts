// Reads `expect`, `per` and `host-time`, and lays one over the other.
import { type Backend, isTimeVirtual, type SubjectId } from "../../base/backend.ts";
import type { EndMatcher, Expectations, GuestSpec, Located, ValueMatcher } from "../case.ts";
import type { Findings } from "../findings.ts";
import type { AllExpectations, ExpectationLayer } from "../scenario.ts";
import { entriesOf, type Node, textOf, valueOf } from "../yaml/node.ts";
import { readConsole, readMemory } from "./bytes.ts";
import { overlaySequence, readSequence } from "./events.ts";
import { ANY, locatedValue, readValue, unsigned } from "./values.ts";

/** Expectations as one `expect`, or one entry of `per`, states them. */
export function readExpectations(
  node: Node | undefined,
  observed: GuestSpec["observe"]["memory"],
  findings: Findings,
): Expectations {
  const console = valueOf(node, "console");
  const end = valueOf(node, "end");
  const exits = valueOf(node, "exits");
  const accesses = valueOf(node, "accesses");
  const injections = valueOf(node, "injections");
  return {
    ...(console ? { console: readConsole(console, findings) } : {}),
    ...(end ? { end: { value: readEnd(end, findings), span: end.span } } : {}),
    registers: Object.fromEntries(
      entriesOf(valueOf(node, "registers")).map(({ key, value }) => {
        const { value: matcher, span } = locatedValue(value, findings);
        return [key, { value: unsigned(matcher, 64), span }];
      }),
    ),
    memory: Object.fromEntries(
      entriesOf(valueOf(node, "memory")).map(({ key, value }) => {
        const size = Object.hasOwn(observed, key) ? observed[key] : undefined;
        return [key, readMemory(value, size, findings)];
      }),
    ),
    ...(exits ? { exits: readSequence(exits, "exits", findings) } : {}),
    ...(accesses ? { accesses: readSequence(accesses, "accesses", findings) } : {}),
    ...(injections ? { injections: readSequence(injections, "injections", findings) } : {}),
  };
}

function readEnd(node: Node, findings: Findings): EndMatcher {
  const word = textOf(node);
  if (word === "halt" || word === "triple-fault") return { kind: word };
  const [entry] = entriesOf(node);
  if (!entry) return { kind: "any" };
  const { key, value } = entry;
  switch (key) {
    case "shutdown":
      return { kind: key, code: readValue(value, findings) };
    case "unported": {
      const instruction = valueOf(value, "instruction");
      return { kind: key, instruction: instruction ? readValue(instruction, findings) : ANY };
    }
    case "limit":
      return { kind: key, limit: readValue(value, findings) };
    case "crash":
      return { kind: key, reason: readValue(value, findings) };
    default:
      return { kind: "any" };
  }
}

/** `later` laid over `earlier`: key by key, registers and memory one by one, counts kind by kind. */
function overlay(earlier: Expectations, later: Expectations): Expectations {
  const exits = overlaySequence(earlier.exits, later.exits);
  const accesses = overlaySequence(earlier.accesses, later.accesses);
  const injections = overlaySequence(earlier.injections, later.injections);
  return {
    ...earlier,
    ...later,
    registers: { ...earlier.registers, ...later.registers },
    memory: { ...earlier.memory, ...later.memory },
    ...(exits ? { exits } : {}),
    ...(accesses ? { accesses } : {}),
    ...(injections ? { injections } : {}),
  };
}

/** Reads `expect`, all of `per`, and what `host-time` has of both. */
export function readAllExpectations(
  root: Node,
  observed: GuestSpec["observe"]["memory"],
  findings: Findings,
): AllExpectations {
  const hostTime = valueOf(root, "host-time");
  return {
    ...readLayer(root, observed, findings),
    ...(hostTime ? { hostTime: readLayer(hostTime, observed, findings) } : {}),
  };
}

function readLayer(
  node: Node,
  observed: GuestSpec["observe"]["memory"],
  findings: Findings,
): ExpectationLayer {
  return {
    common: readExpectations(valueOf(node, "expect"), observed, findings),
    per: new Map(
      entriesOf(valueOf(node, "per")).map((
        { key, value },
      ) => [key, readExpectations(value, observed, findings)]),
    ),
  };
}

function withoutExits(expect: Expectations | undefined): Expectations | undefined {
  if (!expect) return undefined;
  const { exits: _, ...others } = expect;
  return others;
}

/**
 * What is expected of one subject. `full-hw/shadow` takes over what is said of `full-hw`, but for the exits: how memory is
 * virtualized shows in them. On `para`, a guest that is known not to be ported ends as `unported`, unless the scenario says
 * more.
 */
export function expectationsOf(
  { hostTime, ...all }: AllExpectations,
  subject: SubjectId,
  unported: Located<readonly string[]> | undefined,
): Expectations {
  const { backend } = subject;
  const layers = hostTime && !isTimeVirtual(subject) ? [all, hostTime] : [all];
  const expect = layers.flatMap((layer) => layersOf(layer, backend)).reduce(overlay);
  const end = layers.some(({ per }) => per.get(backend)?.end);
  if (backend !== "para" || !unported || end) return expect;
  const values = unported.value.map((value): ValueMatcher => ({ is: "literal", value }));
  const [only] = values;
  const instruction: ValueMatcher = only && values.length === 1 ? only : { is: "one-of", values };
  return { ...expect, end: { value: { kind: "unported", instruction }, span: unported.span } };
}

/** What is said of a back end, the more general first. */
function layersOf({ common, per }: ExpectationLayer, backend: Backend): readonly Expectations[] {
  const technique = backend === "full-hw/shadow" ? withoutExits(per.get("full-hw")) : undefined;
  return [common, technique, per.get(backend)].filter((layer) => layer !== undefined);
}

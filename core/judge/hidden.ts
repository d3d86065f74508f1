// What of a sequence a subject does not show, although it shows the rest: whole kinds of event, or those of devices that are
// below its VMM. Expectations on that are unobserved.
import type { EventPattern, ValueMatcher } from "../scenario/case.ts";
import type { Hidden, Trace } from "../trace/trace.ts";

export type Sequences = "exits" | "accesses" | "injections";

/** What of a trace tells. */
export type Shown = Pick<Trace, "exitKinds" | "hidden">;

/** The kinds of event by which a guest reaches a device, and what its ranges call them. */
const SPACES: Readonly<Record<string, Hidden["devices"][number]["kind"]>> = {
  "io": "io",
  "mmio": "mmio",
  "ept-violation": "mmio",
};
/** What patterns call the place. */
const ADDRESSES = ["port", "gpa", "address"];

/** Is there anything of this sequence that it does not show? */
export function hidesSome({ exitKinds, hidden }: Shown, which: Sequences): boolean {
  const devices = (hidden?.devices.length ?? 0) > 0;
  switch (which) {
    case "exits":
      return exitKinds !== undefined || devices;
    case "accesses":
      return devices || (hidden?.accesses?.length ?? 0) > 0;
    case "injections":
      return (hidden?.injections.length ?? 0) > 0;
  }
}

/** Does it keep some events of this kind to itself? `total` are all kinds. */
export function hidesSomeOf(shown: Shown, which: Sequences, kind: string): boolean {
  if (kind === "total") return hidesSome(shown, which);
  const space = SPACES[kind];
  return hidesKind(shown, which, kind) || which !== "injections" && space !== undefined &&
      (shown.hidden?.devices ?? []).some((device) => device.kind === space);
}

/** Does it show events of this kind wherever they are, or at least where no device hides? */
export function hidesKind({ exitKinds, hidden }: Shown, which: Sequences, kind: string): boolean {
  const has = (kinds: readonly string[] | undefined) => kinds?.includes(kind) ?? false;
  switch (which) {
    case "exits":
      return exitKinds !== undefined && !has(exitKinds);
    case "accesses":
      return has(hidden?.accesses);
    case "injections":
      return has(hidden?.injections);
  }
}

/** Is what this pattern asks for an event that it does not show? */
export function hides(
  shown: Shown,
  which: Sequences,
  { kind, fields }: EventPattern,
): "surely" | "perhaps" | "no" {
  if (hidesKind(shown, which, kind)) return "surely";
  const space = SPACES[kind];
  if (which === "injections" || space === undefined) return "no";
  const { device: name } = fields;
  const address = ADDRESSES.map((field) => fields[field]).find((matcher) => matcher !== undefined);
  const devices = (shown.hidden?.devices ?? []).filter(({ kind, device, first, last }) =>
    kind === space && mayBe(name, device) && mayBeWithin(address, BigInt(first), BigInt(last))
  );
  if (devices.length === 0) return "no";
  return name?.is === "literal" || address?.is === "literal" ? "surely" : "perhaps";
}

function mayBe(matcher: ValueMatcher | undefined, name: string): boolean {
  return matcher?.is !== "literal" || matcher.value === name;
}

function mayBeWithin(matcher: ValueMatcher | undefined, first: bigint, last: bigint): boolean {
  switch (matcher?.is) {
    case "literal":
      return typeof matcher.value !== "bigint" || matcher.value >= first && matcher.value <= last;
    case "range":
      return (matcher.atLeast ?? first) <= last && (matcher.atMost ?? last) >= first;
    case "one-of":
      return matcher.values.some((value) => mayBeWithin(value, first, last));
    default:
      return true;
  }
}

// Matches one exit, access or injection against a pattern of the scenario.
import type { EventPattern, ValueMatcher } from "../scenario/case.ts";
import type { Access, Exit, Injection } from "../trace/exit.ts";
import { describeField, fieldStyle } from "../trace/print.ts";
import {
  type Bindings,
  describeValueMatcher,
  matchValue,
  toValue,
  usesBinding,
  type Value,
} from "./match.ts";

/** What a sequence expectation is about; with the CPU that it happened on, where there are several. */
export type Happening = (Exit | Access | Injection) & { readonly cpu?: number };

/** A pattern made ready to be tried on many events. */
export interface Pattern {
  readonly source: EventPattern;
  readonly kind: string;
  readonly fields: readonly (readonly [name: string, matcher: ValueMatcher])[];
  /** Does a field use a bound name? Then whether it matches depends on what matched before. */
  readonly binds: boolean;
}

/** Prepares a pattern: field names as the trace has them. */
export function compilePattern(source: EventPattern): Pattern {
  const fields = Object.entries(source.fields).map(([name, matcher]) =>
    [name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()), matcher] as const
  );
  return { source, kind: source.kind, fields, binds: fields.some(([, m]) => usesBinding(m)) };
}

/** The value of a field; of a list (a hypercall's arguments), all its values. */
function fieldValues(happening: Happening, name: string): readonly (Value | undefined)[] {
  const raw = ("detail" in happening ? property(happening.detail, name) : undefined) ??
    property(happening, name);
  return Array.isArray(raw) ? raw.map(toValue) : [toValue(raw)];
}

function property(of: object, name: string): unknown {
  return Object.hasOwn(of, name) ? Reflect.get(of, name) : undefined;
}

/** Does it match? Names that are not bound yet are bound in `bindings`, also where a later field fails: pass a copy. */
export function matchesPattern(
  pattern: Pattern,
  happening: Happening,
  bindings: Bindings,
): boolean {
  return pattern.kind === happening.kind &&
    pattern.fields.every(([name, matcher]) => matchField(matcher, happening, name, bindings));
}

function matchField(
  matcher: ValueMatcher,
  happening: Happening,
  name: string,
  bindings: Bindings,
): boolean {
  return fieldValues(happening, name).some((value) => matchValue(matcher, value, bindings));
}

/**
 * How near an event is to a pattern: 0 for another kind, else one more than the number of fields that match. A pattern
 * with n fields is matched at n + 1.
 */
export function nearness(pattern: Pattern, happening: Happening, bindings: Bindings): number {
  if (pattern.kind !== happening.kind) return 0;
  const matching = pattern.fields.filter(([name, matcher]) =>
    matchField(matcher, happening, name, new Map(bindings))
  );
  return 1 + matching.length;
}

/** `io port=0x3f8 out value=0x68`, and `× 4` where it is wanted several times; names with what they are bound to. */
export function describePattern({ kind, fields, source }: Pattern, bindings?: Bindings): string {
  const parts = fields.map(([name, matcher]) =>
    describeField(name, describeValueMatcher(matcher, fieldStyle(name), bindings))
  );
  const times = source.times ? [`× ${describeValueMatcher(source.times, "decimal")}`] : [];
  return [kind, ...parts, ...times].join(" ");
}

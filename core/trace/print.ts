// Exits, accesses, injections and ends in words, one line each. Used by reports, by `trivisor trace` and in messages.
import { hex } from "../base/hex.ts";
import type { Access, EndState, Exit, Injection } from "./exit.ts";
import type { TraceEvent } from "./trace.ts";

/** Fields whose value says by itself what it is: printed without their name. */
const BARE_FIELDS: ReadonlySet<string> = new Set([
  "name",
  "instruction",
  "direction",
  "access",
  "device",
]);
/** Fields that are counts or sizes, hence decimal. */
const DECIMAL_FIELDS: ReadonlySet<string> = new Set([
  "size",
  "register",
  "queue",
  "times",
  "subleaf",
  "counter",
]);

/** How a number in this field is written. */
export function fieldStyle(field: string): "hex" | "decimal" {
  return DECIMAL_FIELDS.has(field) ? "decimal" : "hex";
}

/** `port=0x3f8`, or the bare text of fields that explain themselves. */
export function describeField(field: string, text: string): string {
  return BARE_FIELDS.has(field) ? text : `${kebab(field)}=${text}`;
}

/** `errorCode` as scenarios write it: `error-code`. */
export function kebab(field: string): string {
  return field.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** The named values of an exit, access or injection: everything that a scenario may ask about, but the kind. */
export function fieldsOf(happening: Exit | Access | Injection): Record<string, unknown> {
  if ("detail" in happening) {
    return { ...happening.detail, via: happening.via, rip: happening.rip };
  }
  const { kind: _, ...fields } = happening;
  return fields;
}

function showField(field: string, raw: unknown): string {
  if (Array.isArray(raw)) return `(${raw.map((item) => showField(field, item)).join(", ")})`;
  if (typeof raw === "bigint") return raw < 10n && raw >= 0n ? String(raw) : hex(raw);
  if (typeof raw === "number") {
    return fieldStyle(field) === "decimal" || (raw >= 0 && raw < 10) ? String(raw) : hex(raw);
  }
  return String(raw);
}

function describe(kind: string, fields: Record<string, unknown>): string {
  const parts = Object.entries(fields)
    .filter(([, raw]) => raw !== undefined && raw !== false)
    .map(([field, raw]) => raw === true ? field : describeField(field, showField(field, raw)));
  return [kind, ...parts].join(" ");
}

/** `io port=0x3f8 out size=1 value=0x68`; its `via` and place are told beside it. */
export function describeExit(exit: Exit): string {
  return describe(exit.kind, { ...exit.detail });
}

/** `io device uart address=0x3f8 out size=1 value=0x68` */
export function describeAccess(access: Access): string {
  return describe(access.kind, fieldsOf(access));
}

/** `exception vector=0xe error-code=2 address=0x40000000` */
export function describeInjection(injection: Injection): string {
  return describe(injection.kind, fieldsOf(injection));
}

/** `shutdown 0`, `halt`, `crash: no handler for ...` */
export function describeEnd(end: EndState): string {
  switch (end.kind) {
    case "shutdown":
      return `shutdown ${end.code}`;
    case "halt":
      return "halt";
    case "triple-fault":
      return "triple fault";
    case "unported":
      return `unported instruction ${end.instruction} at ${hex(end.rip)}`;
    case "limit":
      return `stopped by the limit on ${end.limit}`;
    case "crash":
      return `crash at ${hex(end.rip)}: ${end.reason}`;
    default:
      return end satisfies never;
  }
}

/** An event, without its time. Console bytes are printed as a JSON string. */
export function describeEvent(event: TraceEvent): string {
  switch (event.type) {
    case "exit":
      return describeExit(event.exit);
    case "access":
      return describeAccess(event.access);
    case "injection":
      return describeInjection(event.injection);
    case "console":
      return `console ${JSON.stringify(String.fromCharCode(...event.bytes.slice(0, 64)))}`;
    default:
      return event satisfies never;
  }
}

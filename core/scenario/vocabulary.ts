// The names that a scenario may use for events and their fields, for metrics and for ends. One table, read by the schema
// (what editors offer), by the checker ("did you mean") and by the reader (what becomes of it).
import type {
  Access,
  AccessKind,
  ExitDetails,
  ExitKind,
  Injection,
  InjectionKind,
} from "../trace/exit.ts";
import { kebab } from "./findings.ts";

/** What kind of value a field has. */
export type FieldType =
  | "integer"
  | "boolean"
  | "text"
  | "direction"
  | "memory-access"
  | "cr-access"
  | "via";

/** The values of the field types that have few. */
export const FIELD_VALUES = {
  "direction": ["in", "out"],
  "memory-access": ["read", "write", "execute"],
  "cr-access": ["mov-to", "mov-from", "clts", "lmsw", "smsw"],
  "via": ["vm-exit", "callout", "hypercall", "fault"],
} as const satisfies Partial<Record<FieldType, readonly string[]>>;

export interface Field {
  readonly type: FieldType;
  readonly about: string;
  /** The field of the event that it stands for, where the scenario has a second name for it. */
  readonly as?: string;
}

const integer = (about: string): Field => ({ type: "integer", about });
const text = (about: string): Field => ({ type: "text", about });

const address = integer("Linear address");
const vector = integer("Interrupt or exception vector, 0 to 255");
const direction: Field = { type: "direction", about: "`in` to the guest, `out` of it" };
const memoryAccess: Field = {
  type: "memory-access",
  about: "What the guest wanted: read, write or execute",
};
const gpa = integer("Guest-physical address");
const instruction = text("Mnemonic, in lower case");
const size = integer("Bytes: 1, 2, 4 or 8");
const device = text("Name of the device");

/** Fields that events carry but patterns can't name: lists. */
type Unmatched = "arguments";

/** The kinds of exit and the fields that patterns may name. */
export const EXIT_FIELDS: {
  readonly [K in ExitKind]: {
    readonly [F in Exclude<keyof ExitDetails[K] & string, Unmatched>]: Field;
  };
} = {
  "exception": {
    vector,
    errorCode: integer("Error code"),
    address: integer("CR2 of a page fault"),
  },
  "external-interrupt": { vector },
  "interrupt-window": {},
  "triple-fault": {},
  "task-switch": { selector: integer("Selector of the new task") },
  "cpuid": { leaf: integer("EAX"), subleaf: integer("ECX") },
  "hlt": {},
  "invd": {},
  "wbinvd": {},
  "invlpg": { address },
  "invpcid": {
    type: integer("What goes: a page, a context, everything, or all but global pages (0 to 3)"),
    pcid: integer("Of the context"),
    address,
  },
  "rdpmc": { counter: integer("ECX") },
  "rdtsc": {},
  "rdtscp": {},
  "vmcall": { number: integer("RAX") },
  "cr-access": {
    register: integer("Number of the control register"),
    access: { type: "cr-access", about: "The kind of instruction" },
    value: integer("What was or is to be in it"),
  },
  "dr-access": { register: integer("Number of the debug register"), direction },
  "io": {
    port: integer("Port number"),
    direction,
    size,
    value: integer("What was written, or what the guest got"),
    string: { type: "boolean", about: "By INS or OUTS" },
  },
  "msr-read": { msr: integer("ECX"), value: integer("What the guest got") },
  "msr-write": { msr: integer("ECX"), value: integer("EDX:EAX") },
  "monitor": {},
  "mwait": {},
  "pause": {},
  "gdtr-idtr": { instruction },
  "ldtr-tr": { instruction },
  "xsetbv": { register: integer("ECX"), value: integer("EDX:EAX") },
  "ept-violation": { gpa, access: memoryAccess, size, value: integer("What was written or got") },
  "instruction": { instruction },
  "software-interrupt": { vector },
  "shadow-fill": { address, access: memoryAccess },
  "trace": { address, gpa },
  "mmio": { gpa, access: memoryAccess, size, value: integer("What was written or got") },
  "syscall": { number: integer("RAX") },
  "hypercall": {
    name: text("Name in the ABI's headers, as in `update_va_mapping`"),
    number: integer("Number in the ABI"),
    result: integer("What it returned"),
  },
};

/** `via` goes with every kind of exit. */
export const VIA: Field = { type: "via", about: "What brought control to the VMM" };

type FieldOf<T, K> = Exclude<keyof Extract<T, { kind: K }> & string, "kind">;

const accessFields = {
  device,
  address: integer("Port or guest-physical address"),
  direction,
  size,
  value: integer("What was written or read"),
};

/** The kinds of access and the fields that patterns may name. */
export const ACCESS_FIELDS: {
  readonly [K in AccessKind]:
    & { readonly [F in FieldOf<Access, K>]: Field }
    & { readonly port?: Field; readonly gpa?: Field };
} = {
  "io": { port: { ...integer("Port number"), as: "address" }, ...accessFields },
  "mmio": { gpa: { ...gpa, as: "address" }, ...accessFields },
  "queue-notify": { device, queue: integer("Index of the virtqueue") },
  "device-needs-reset": { device, reason: text("Why the device gave up") },
};

/** The kinds of injection and the fields that patterns may name. */
export const INJECTION_FIELDS: {
  readonly [K in InjectionKind]: { readonly [F in FieldOf<Injection, K>]: Field };
} = {
  "external-interrupt": { vector },
  "exception": {
    vector,
    errorCode: integer("Error code"),
    address: integer("CR2 of a page fault"),
  },
  "nmi": { vector },
  "event": { vector, port: integer("Event channel") },
};

/** One of the three sequences of a trace that patterns are for. */
export interface EventFamily {
  /** As in `Unknown exit kind "ioo"`. */
  readonly noun: string;
  readonly kinds: Readonly<Record<string, Readonly<Record<string, Field>>>>;
}

/** `cpu` goes with every kind of event. */
const CPU: Field = integer("Number of the CPU, of several");

type Kinds = EventFamily["kinds"];

const withFields = (kinds: Kinds, more: Kinds[string]): Kinds =>
  Object.fromEntries(Object.entries(kinds).map(([kind, own]) => [kind, { ...own, ...more }]));

export const EVENT_FAMILIES = {
  exits: { noun: "exit", kinds: withFields(EXIT_FIELDS, { via: VIA, cpu: CPU }) },
  accesses: { noun: "access", kinds: withFields(ACCESS_FIELDS, { cpu: CPU }) },
  injections: { noun: "injection", kinds: withFields(INJECTION_FIELDS, { cpu: CPU }) },
} as const satisfies Record<string, EventFamily>;

export type EventFamilyName = keyof typeof EVENT_FAMILIES;

/** The field that `key` names in a pattern of this kind, and its name in the event. Kebab and camel case are alike. */
export function fieldOf(
  family: EventFamily,
  kind: string,
  key: string,
): { readonly name: string; readonly field: Field } | undefined {
  const fields = Object.hasOwn(family.kinds, kind) ? family.kinds[kind] ?? {} : {};
  for (const [name, field] of Object.entries(fields)) {
    if (name === key || kebab(name) === key) return { name: field.as ?? name, field };
  }
  return undefined;
}

/** What `compare` can weigh, by family and kind too. */
export const METRICS: readonly string[] = [
  "exits",
  "accesses",
  "injections",
  "cycles",
  "guest-cycles",
  "vmm-cycles",
  "instructions",
  "inlined",
  ...Object.entries(EVENT_FAMILIES).flatMap(([name, { kinds }]) =>
    Object.keys(kinds).map((kind) => `${name}/${kind}`)
  ),
];

/** The limits that can end a run, as `end: { limit: ... }` names them. */
export const LIMIT_NAMES = ["instructions", "exits", "time"] as const;

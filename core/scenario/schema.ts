// The structure of a scenario, key by key, in zod: the one description of the language. `scenarios/schema.json` is made from
// it (`deno task schema`), and both editors and `structure.ts` read that, so that zod is not loaded when trivisor runs.
//
// Conventions that `structure.ts` relies on: `title` completes "Expected ..."; of an enumeration it is the noun in
// "Unknown ...". `x-keys` is the noun for the keys of a map. Descriptions are what an editor shows.
import { z } from "zod";
import { BACKENDS, ENGINES } from "../base/backend.ts";
import { GENERAL_REGISTERS, SPECIAL_REGISTERS } from "../base/registers.ts";
import { ENTRIES, GUEST_FORMATS } from "./case.ts";
import { kebab } from "./findings.ts";
import {
  EVENT_FAMILIES,
  type EventFamilyName,
  type Field,
  FIELD_VALUES,
  LIMIT_NAMES,
  METRICS,
} from "./vocabulary.ts";

/** Lists in a scenario are no longer than this. */
const MAX_ITEMS = 1000;

const list = <T extends z.ZodType>(item: T) => z.array(item).max(MAX_ITEMS);

/** A map of which at least one key is given. */
const someOf = <S extends z.ZodRawShape>(shape: S) =>
  z.strictObject(shape)
    .refine((value) => Object.keys(value).length >= 1)
    .meta({ minProperties: 1 });

/** A map of which exactly one key is given. */
const oneOf = <S extends z.ZodRawShape>(shape: S, meta: Record<string, unknown>) =>
  z.strictObject(shape)
    .refine((value) => Object.keys(value).length === 1)
    .meta({ minProperties: 1, maxProperties: 1, ...meta });

/** A text that says something. */
const Words = z.string().regex(/\S/).meta({ title: "some words" });
const template = z.string().regex(/\{.*\}/);
const Integer = z.union([z.bigint(), template]).meta({ id: "Integer", title: "an integer" });
const Flag = z.union([z.boolean(), template]).meta({ id: "Flag", title: "true or false" });
const Label = z.string().regex(/^[A-Za-z_.?@][A-Za-z0-9_.?@$#~]*$/)
  .meta({ id: "Label", title: "a label of the program" });
const Size = z.union([
  z.bigint(),
  z.string().regex(/^[0-9]+ ?(bytes|KiB|MiB|GiB)$/),
  template,
]).meta({ id: "Size", title: "a size such as `2 MiB`" });
const Duration = z.union([
  z.string().regex(/^[0-9]+ ?(ns|us|ms|s)$/),
  template,
]).meta({ id: "Duration", title: "a time such as `5 ms`" });
const ParameterName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/)
  .meta({ title: "a parameter's name: letters, digits and _" });
const ParameterValue = z.union([z.bigint(), z.string(), z.boolean()])
  .meta({ id: "ParameterValue", title: "an integer, a text, true or false" });
const Combination = z.record(ParameterName, ParameterValue)
  .meta({ id: "Combination", title: "a map from parameters to values" });
const Register = z.enum([...GENERAL_REGISTERS, ...SPECIAL_REGISTERS])
  .meta({ title: "register" });
const BackendName = z.enum(BACKENDS).meta({ id: "Backend", title: "back end" });

// --- Values ---------------------------------------------------------------------------------------------------------

const range = {
  "at-least": Integer.optional().describe("Smallest value that matches"),
  "at-most": Integer.optional().describe("Largest value that matches"),
  "between": z.tuple([Integer, Integer]).optional()
    .meta({ description: "Smallest and largest value that match", title: "two integers" }),
};

const NumberMatch = z.union([
  z.bigint(),
  z.string().regex(/^any$|^\$[A-Za-z_][A-Za-z0-9_]*$|\{.*\}/),
  someOf({
    ...range,
    "one-of": list(Integer).optional().describe("The values that match"),
    "not": Integer.optional().describe("The value that does not match"),
  }),
]).meta({
  id: "Number",
  title: "an integer, a range such as `{ at-least: 5 }`, `any` or `$name`",
  description:
    "An integer; `{ at-least: A, at-most: B }`; `{ between: [A, B] }`; `{ one-of: [...] }`; `{ not: N }`; `any`; " +
    "or `$name`, which takes the first value and wants the same one from then on.",
});

const TextMatch = z.union([
  z.string(),
  someOf({
    "one-of": list(z.string()).optional().describe("The texts that match"),
    "not": z.string().optional().describe("The text that does not match"),
  }),
]).meta({
  id: "Text",
  title: "a text, `{ one-of: [...] }`, `{ not: ... }`, `any` or `$name`",
});

const FlagMatch = z.union([
  z.boolean(),
  z.string().regex(/^any$|^\$[A-Za-z_][A-Za-z0-9_]*$|\{.*\}/),
])
  .meta({ id: "FlagMatch", title: "true, false, `any` or `$name`" });

/** One of a few words, as a field of an event has them. */
function wordMatch(id: string, words: readonly string[]) {
  const word = z.enum(words);
  return z.union([
    z.enum([...words, "any"]).meta({ title: kebab(id) }),
    z.string().regex(/^\$[A-Za-z_][A-Za-z0-9_]*$|\{.*\}/),
    someOf({
      "one-of": list(word).optional().describe("The words that match"),
      "not": word.optional().describe("The word that does not match"),
    }),
  ]).meta({ id, title: `one of ${words.join(", ")}` });
}

const FIELD_MATCHES: Readonly<Record<Field["type"], z.ZodType>> = {
  "integer": NumberMatch,
  "boolean": FlagMatch,
  "text": TextMatch,
  "direction": wordMatch("direction", FIELD_VALUES.direction),
  "memory-access": wordMatch("memory-access", FIELD_VALUES["memory-access"]),
  "cr-access": wordMatch("cr-access", FIELD_VALUES["cr-access"]),
  "via": wordMatch("via", FIELD_VALUES.via),
};

// --- Bytes ----------------------------------------------------------------------------------------------------------

const HexBytes = z.string().regex(/^\s*([0-9a-fA-F]{2}\s*)*$/)
  .meta({ id: "HexBytes", title: "bytes in hexadecimal, as in `0f 0b`" });

interface BytesShape {
  readonly "is"?: string | undefined;
  readonly "not"?: BytesShape | string | undefined;
}

const BytesMatch: z.ZodType<BytesShape | string> = z.lazy(() =>
  z.union([z.string(), someOf(bytesKeys)])
).meta({ id: "Bytes", title: "a text, or a map such as `{ contains: ... }`" });

const bytesKeys = {
  "is": z.string().optional().describe("All of it. In memory: the first bytes of it"),
  "starts-with": z.string().optional().describe("What it begins with"),
  "contains": z.string().optional().describe("What is somewhere in it"),
  "matches": z.string().optional().describe(
    "A regular expression that matches somewhere in it, unless ^ and $ say otherwise. As in JavaScript, but " +
      "without backreferences and look-around",
  ),
  "bytes": HexBytes.optional().describe("The bytes, in hexadecimal, as in `0f 0b`"),
  "length": NumberMatch.optional().describe("How many bytes"),
  "not": BytesMatch.optional().describe("What it must not match"),
};

const MemoryMatch = z.union([
  z.bigint(),
  z.string(),
  someOf({
    ...bytesKeys,
    ...range,
    "one-of": list(Integer).optional().describe("The little-endian integers that match"),
    "not": z.union([Integer, BytesMatch]).optional().describe("What it must not match"),
  }),
]).meta({
  id: "Memory",
  title: "an integer, a text, or a map such as `{ starts-with: ... }`",
  description:
    "An integer is little-endian, of the size in `observe`, or else of 8 bytes. A text is the first bytes.",
});

// --- Events ---------------------------------------------------------------------------------------------------------

function pattern(family: EventFamilyName) {
  const { noun, kinds } = EVENT_FAMILIES[family];
  const shapes = Object.entries<Readonly<Record<string, Field>>>(kinds).map(([kind, fields]) => {
    const members = Object.entries(fields).map((
      [name, { type, about }],
    ) => [kebab(name), FIELD_MATCHES[type].optional().describe(about)]);
    const shape = z.strictObject({
      ...Object.fromEntries(members),
      times: NumberMatch.optional().describe("How many of them; one if absent"),
    });
    return [
      kind,
      shape.optional().meta({ "x-keys": `field of ${kind}`, title: "a map of fields" }),
    ];
  });
  return z.union([
    z.enum(Object.keys(kinds)).meta({ title: `${noun} kind` }),
    oneOf(Object.fromEntries(shapes), { "x-keys": `${noun} kind` }),
  ]).meta({
    id: `${noun}Pattern`,
    title: `a kind of ${noun}, or a map from the kind to its fields`,
  });
}

function sequence(family: EventFamilyName, about: string) {
  const { noun, kinds } = EVENT_FAMILIES[family];
  const patterns = list(pattern(family));
  const names = z.enum([...Object.keys(kinds), "total"]).meta({ title: `${noun} kind` });
  return z.strictObject({
    "exactly": patterns.optional().describe("All of them, in this order, and no others"),
    "in-order": patterns.optional().describe("These, in this order; others may come between"),
    "any-order": patterns.optional().describe("These, in whatever order, among others"),
    "never": patterns.optional().describe("None of these"),
    "counts": z.partialRecord(names, NumberMatch).optional()
      .describe("How many of each kind; `total` of all kinds"),
  }).meta({ id: family, title: "a map such as `{ in-order: [...] }`", description: about });
}

// --- The parts of a scenario ----------------------------------------------------------------------------------------

const End = z.union([
  z.enum(["any", "halt", "triple-fault"]).meta({ title: "end" }),
  oneOf({
    "shutdown": NumberMatch.optional().describe("The guest powered off with this code"),
    "unported": z.union([
      z.enum(["any"]),
      z.strictObject({ instruction: TextMatch.describe("Mnemonic, in lower case") }),
    ]).optional().meta({
      title: "`{ instruction: ... }` or `any`",
      description:
        "A paravirtualizing VMM met a privileged instruction in a guest not ported to it",
    }),
    "limit": wordMatch("limit", LIMIT_NAMES).optional().describe("A limit stopped the run"),
    "crash": z.string().optional()
      .describe("The VMM refused to go on: part of its reason, or `any`"),
  }, { "x-keys": "end" }),
]).meta({
  id: "End",
  title: "`halt`, `triple-fault`, `any`, or a map such as `{ shutdown: 0 }`",
});

const Expect = z.strictObject({
  "console": BytesMatch.optional().describe("What the guest printed. Text is all of it"),
  "end": End.optional().describe(
    "How the run ends. Without it, any end but a crash or a limit will do",
  ),
  "registers": z.partialRecord(Register, NumberMatch).optional()
    .describe("General and control registers at the end"),
  "memory": z.record(Label, MemoryMatch).optional().describe("Memory at a label, at the end"),
  "exits": sequence("exits", "Transfers of control from guest to VMM").optional(),
  "accesses": sequence("accesses", "What devices saw").optional(),
  "injections": sequence("injections", "What the VMM delivered to the guest").optional(),
}).meta({ id: "Expect", title: "a map of expectations" });

const Disk = z.strictObject({
  "pattern": z.string().optional().describe(
    "Every sector begins with this; {n} is the sector's number",
  ),
  "text": z.string().optional().describe("What the disk begins with; the rest is zero"),
  "bytes": HexBytes.optional().describe("The same, in hexadecimal"),
  "sectors": Integer.optional().describe(
    "Sectors of 512 bytes; as many as the content needs if absent",
  ),
  "read-only": Flag.optional().describe("Must writes fail?"),
}).meta({ id: "Disk", title: "a map such as `{ pattern: ..., sectors: 64 }`" });

const Guest = z.strictObject({
  "entry": z.union([z.enum(ENTRIES).meta({ title: "entry" }), template]).optional()
    .meta({ title: "entry", description: "CPU mode of the first instruction; long64 if absent" }),
  "memory": Size.optional()
    .describe("RAM, a multiple of 4096 bytes; 2 MiB if absent, and 64 MiB for a file"),
  "cpus": Integer.optional()
    .describe("CPUs, 1 to 8, each with a local APIC if there are several; 1 if absent"),
  "seed": Integer.optional()
    .describe(
      "What the numbers of RDRAND and RDSEED come from, 32 bits; always the same if absent",
    ),
  "program": z.string().optional()
    .describe("Assembly in Intel syntax, as NASM has it, in a block: `program: |`"),
  "file": z.string().optional().describe("A file to load instead, relative to the scenario"),
  "format": z.union([z.enum(GUEST_FORMATS).meta({ title: "format" }), template]).optional()
    .meta({ title: "format", description: "What the file is; what it looks like if absent" }),
  "load": Integer.optional().describe(
    "Guest-physical address at which a flat file is loaded and started",
  ),
  "command-line": z.string().optional().describe("Handed to a multiboot or PVH kernel"),
  "modules": list(z.string()).optional()
    .describe("Files handed to a multiboot or PVH kernel, relative to the scenario"),
  "registers": z.partialRecord(Register, Integer).optional().describe("Values at entry"),
  "disks": list(Disk).optional().describe("Virtual disks, in order"),
  "expected-unported": list(z.string()).optional()
    .describe(
      "Mnemonics that a paravirtualizing VMM is expected to report: the guest is not ported",
    ),
  "observe": z.strictObject({
    "registers": list(Register).optional().describe("Registers"),
    "memory": z.record(Label, Size).optional().describe("Labels, and how many bytes from there"),
  }).optional().describe("What must be equal on all back ends at the end"),
}).meta({ id: "Guest", title: "a map" });

const metric = {
  "metric": z.enum(METRICS).meta({ title: "metric", description: "What is weighed" }),
};
const Comparison = z.strictObject({
  ...metric,
  "order": list(BackendName).min(2).optional()
    .meta({
      description: "Back ends, each of which has less than the next",
      title: "two back ends or more",
    }),
  "of": BackendName.optional().describe("The back end that is weighed"),
  "times": BackendName.optional().describe("The back end it is weighed against"),
  "at-most": z.union([z.bigint(), z.number(), template]).optional()
    .meta({ title: "a number", description: "`of` has at most this many times what `times` has" }),
  "at-least": z.union([z.bigint(), z.number(), template]).optional()
    .meta({ title: "a number", description: "`of` has at least this many times what `times` has" }),
  "profile": Words.optional().describe(
    "A cost profile that ships, by which modelled cycles are priced here instead of by the run's",
  ),
  "when": z.string().optional().describe("Only for such parameters, as in `length >= 64`"),
}).meta({ id: "Comparison", title: "a map such as `{ metric: exits, order: [para, full-hw] }`" });

/** A scenario, as plain values with integers as bigints. */
export const scenarioSchema = z.strictObject({
  "why": Words.describe("What this pins down, and what surprises. Required"),
  "tags": list(Words).optional().describe("Words to select scenarios by"),
  "requires": z.strictObject({
    "backend": list(BackendName).min(1).optional().describe("The back ends that suit it"),
    "engine": list(z.enum(ENGINES).meta({ title: "engine" })).min(1).optional()
      .describe("The engines that suit it"),
  }).optional().describe("What a subject must be; cases on others are skipped"),
  "parameters": z.record(ParameterName, list(ParameterValue).min(1)).optional()
    .describe("Every combination of these values makes a case. Write {name} to use one"),
  "matrix": z.strictObject({
    "include": list(Combination).optional().describe(
      "Each is added to the combinations that it does not contradict, or else is a combination of its own",
    ),
    "exclude": list(Combination).optional().describe(
      "Combinations that agree with one of these are left out",
    ),
  }).optional().describe("Changes to the combinations of `parameters`"),
  "guest": Guest.describe("The virtual machine and what runs in it. Required"),
  "expect": Expect.optional().describe("What is expected of every back end"),
  "per": z.partialRecord(BackendName, Expect).optional()
    .describe("What is expected of one back end, laid over `expect` key by key"),
  "host-time": z.strictObject({
    "expect": Expect.optional().describe("What is expected of every back end"),
    "per": z.partialRecord(BackendName, Expect).optional()
      .describe("What is expected of one back end, laid over all else key by key"),
  }).optional().describe(
    "What is expected instead where guests go by the host's clock: laid over `expect` and `per` key by key",
  ),
  "compare": list(Comparison).optional().describe(
    "What is expected of the back ends, weighed against each other",
  ),
  "limits": z.strictObject({
    "instructions": Integer.optional().describe(
      "Guest instructions; 10,000,000 if absent, 1,000,000,000 where the guest is a file",
    ),
    "exits": Integer.optional().describe(
      "Exits; 1,000,000 if absent, 20,000,000 where the guest is a file",
    ),
    "time": Duration.optional().describe("Virtual time; 60 s if absent"),
    "wall": Duration.optional().describe(
      "Measured time; 30 s if absent, 120 s where the guest is a file",
    ),
  }).optional().describe("What ends a run that does not end"),
}).meta({ title: "a trivisor scenario" });

/** The JSON Schema (draft 2020-12) of a scenario, as `scenarios/schema.json` holds it. */
export function jsonSchema(): string {
  return jsonSchemaOf(scenarioSchema);
}

/** The same of another kind of file that is read as scenarios are. */
export function jsonSchemaOf(description: z.ZodType): string {
  const schema = z.toJSONSchema(description, {
    io: "input",
    unrepresentable: "any",
    override: ({ zodSchema, jsonSchema }) => {
      if (zodSchema._zod.def.type === "bigint") jsonSchema.type = "integer";
    },
  });
  return JSON.stringify(schema, null, 2) + "\n";
}

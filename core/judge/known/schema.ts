// The structure of a ledger of deviations in zod: `fixtures/known/schema.json` is made from it (`deno task schema`), and
// editors and `read.ts` read that. Conventions as in `core/scenario/schema.ts`.
import { z } from "zod";
import { jsonSchemaOf } from "../../scenario/schema.ts";
import { VERSION_RANGE } from "./version.ts";

const MAX_ENTRIES = 1000;

const Words = z.string().regex(/\S/).meta({ title: "some words" });
/** One, or a list of several; told of alike. */
const several = <T extends z.ZodType>(item: T, description: string) => {
  const { title = "" } = item.meta() ?? {};
  return z.union([item, z.array(item).min(1).max(MAX_ENTRIES)]).meta({ title, description });
};

const Subject = z.string().regex(/^[a-z*/-]+@[a-z*]+$/)
  .meta({ title: "a subject such as full-bt@qemu" });
const Aspect = z.string()
  .regex(
    /^(\*|end|console|disks\.(\*|\d+)|(registers|memory)\.\S+|(exits|accesses|injections)\.(\*|exactly|in-order|any-order|never|counts\.\S+))$/,
  )
  .meta({
    title: "what comes out otherwise, such as console, end, registers.rax or exits.counts.io",
  });

const Entry = z.strictObject({
  "subject": several(Subject, "The subject, or several; `*` stands for any text. Required"),
  "version": z.string().regex(VERSION_RANGE).optional()
    .meta({
      title: "versions such as `<8`",
      description: "As in `>=7.2 <9`; every version if absent",
    }),
  "host": several(Words, "What the subject runs on, as `doctor` tells it: pvm; anything if absent")
    .optional(),
  "cases": several(Words, "Scenarios, groups or cases by id; `*` stands for any text. Required"),
  "about": several(
    Aspect,
    "What comes out otherwise: console, end, registers.NAME, exits.counts.KIND, exits.*. Required",
  ),
  "reason": Words.describe("Why, in a sentence. Required"),
  "manual": Words.describe("The paragraph that says how it should be: SDM vol. 3, 28.2. Required"),
  "link": z.string().regex(/^https?:\/\/\S+$/)
    .meta({ title: "an address", description: "Where it is reported or described. Required" }),
  "until": z.string().regex(/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/)
    .meta({
      title: "a day such as 2027-06-30",
      description: "The last day on which it is excused. Required",
    }),
}).meta({ id: "Deviation", title: "a map with the keys of a deviation" });

/** A ledger, as plain values. */
export const ledgerSchema = z.strictObject({
  "deviations": z.array(Entry).max(MAX_ENTRIES)
    .describe("What subjects are known to do otherwise. Required"),
}).meta({ title: "a map with the key `deviations`" });

/** The JSON Schema (draft 2020-12) of a ledger, as `fixtures/known/schema.json` holds it. */
export function ledgerJsonSchema(): string {
  return jsonSchemaOf(ledgerSchema);
}

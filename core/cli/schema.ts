// `trivisor schema`: the JSON Schemas of scenarios and of ledgers of deviations, for editors.
import { join } from "node:path";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { ledgerJsonSchema } from "../judge/known/schema.ts";
import { jsonSchema } from "../scenario/schema.ts";
import { toStdout } from "./output.ts";
import { PROJECT } from "./project.ts";

/** Prints that of scenarios, or writes each where it is looked for. */
export function schema({ write }: { readonly write?: boolean }): ExitCode {
  if (!write) {
    toStdout(jsonSchema());
    return EXIT_CODE.ok;
  }
  const files: readonly [folder: string, text: string][] = [
    ["scenarios", jsonSchema()],
    ["fixtures/known", ledgerJsonSchema()],
  ];
  for (const [folder, text] of files) {
    const path = join(PROJECT, folder, "schema.json");
    Deno.writeTextFileSync(path, text);
    toStdout(`Wrote ${path}\n`);
  }
  return EXIT_CODE.ok;
}

// `trivisor schema`: the JSON Schema of scenarios, for editors.
import { join } from "@std/path";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { jsonSchema } from "../scenario/schema.ts";
import { toStdout } from "./output.ts";
import { PROJECT } from "./project.ts";

/** Prints it, or writes it to `scenarios/schema.json`. */
export function schema({ write }: { readonly write?: boolean }): ExitCode {
  const text = jsonSchema().trimEnd() + "\n";
  if (!write) {
    toStdout(text);
    return EXIT_CODE.ok;
  }
  const path = join(PROJECT, "scenarios", "schema.json");
  Deno.writeTextFileSync(path, text);
  toStdout(`Wrote ${path}\n`);
  return EXIT_CODE.ok;
}

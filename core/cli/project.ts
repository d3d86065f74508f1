// Finds files: trivisor's own fixtures, and what scenarios include. Scenarios are untrusted: what they name is looked for
// in the fixtures and beside the scenario, never elsewhere.
import { dirname, fromFileUrl, isAbsolute, join, normalize } from "@std/path";
import type { SourceFile } from "../base/source.ts";
import type { BuildOptions } from "../guest/build.ts";
import type { Located } from "../scenario/case.ts";

/** The folder that holds `core`, `fixtures` and `scenarios`. */
export const PROJECT = fromFileUrl(new URL("../../", import.meta.url));
const FIXTURES = join(PROJECT, "fixtures");

/** Largest file that a scenario may include or load. */
const MAX_FILE = 64 << 20;

/** The text of a file, or undefined where there is none. */
export function readText(path: string, name: string = path): SourceFile | undefined {
  try {
    if (Deno.statSync(path).size > MAX_FILE) return undefined;
    return { name, text: Deno.readTextFileSync(path) };
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory ||
    error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.InvalidData;
}

/** Is it a path that stays below where it starts? */
function staysBelow(name: string): boolean {
  return name.length > 0 && name.length < 1024 && !isAbsolute(name) && !name.includes("\0") &&
    !normalize(name).replaceAll("\\", "/").split("/").includes("..");
}

/** Resolves `%include` for a scenario in `file`: fixtures first, then beside the scenario. */
export function includesOf(file: string): (name: string) => SourceFile | undefined {
  return (name) => {
    if (!staysBelow(name)) return undefined;
    const beside = join(dirname(file), name);
    return readText(join(FIXTURES, name), name) ?? readText(beside, beside);
  };
}

/** Reads a guest's `file:`, beside the scenario or in the fixtures. */
export function filesOf(file: string): (name: Located<string>) => Uint8Array | undefined {
  return ({ value: name }) => {
    if (!staysBelow(name)) return undefined;
    for (const path of [join(dirname(file), name), join(FIXTURES, name)]) {
      try {
        if (Deno.statSync(path).size <= MAX_FILE) return Deno.readFileSync(path);
      } catch (error) {
        if (!isAbsence(error)) throw error;
      }
    }
    return undefined;
  };
}

/** Both, as building a guest wants them. */
export function filesFor(file: string): BuildOptions {
  return { include: includesOf(file), readFile: filesOf(file) };
}

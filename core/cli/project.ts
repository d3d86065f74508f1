// Finds files: trivisor's own fixtures, and what scenarios include. Scenarios are untrusted: what they name is looked for
// in the fixtures and beside the scenario, never elsewhere, wherever links lead.
import { dirname, isAbsolute, join, normalize, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { SourceFile } from "../base/source.ts";
import type { BuildOptions } from "../guest/build.ts";
import type { Located } from "../scenario/case.ts";

/** The folder that holds `core`, `fixtures` and `scenarios`. */
export const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const FIXTURES = join(PROJECT, "fixtures");

/** Largest file that a scenario may include or load. */
const MAX_FILE = 64 << 20;

/** The text of a file, or undefined where there is none. */
export function readText(path: string, name: string = path): SourceFile | undefined {
  const file = place(path);
  return file === undefined ? undefined : { name, text: Deno.readTextFileSync(file) };
}

/**
 * The file that a path leads to, links followed: an ordinary one of bearable size, and below `root` if that is given. A link
 * in the folder of an untrusted scenario may point anywhere, to a device or a pipe that never ends too.
 */
function place(path: string, root?: string): string | undefined {
  try {
    const real = Deno.realPathSync(path);
    if (root !== undefined && !isBelow(real, Deno.realPathSync(root))) return undefined;
    const { isFile, size } = Deno.statSync(real);
    return isFile && size <= MAX_FILE ? real : undefined;
  } catch (error) {
    if (isAbsence(error)) return undefined;
    throw error;
  }
}

function isBelow(path: string, root: string): boolean {
  const way = relative(root, path);
  return !isAbsolute(way) && way.split(/[\\/]/)[0] !== "..";
}

/** For whoever looks for a file, there is none. */
function isAbsence(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.IsADirectory ||
    error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.InvalidData ||
    error instanceof Deno.errors.FilesystemLoop ||
    // Links that lead in circles, and names that are too long, have no class of their own.
    (error instanceof Error && "code" in error &&
      (error.code === "ELOOP" || error.code === "ENAMETOOLONG"));
}

/** Is it a path that stays below where it starts? */
function staysBelow(name: string): boolean {
  return name.length > 0 && name.length < 1024 && !isAbsolute(name) && !name.includes("\0") &&
    !normalize(name).replaceAll("\\", "/").split("/").includes("..");
}

/** Where a file of this name is that a scenario may have, in the fixtures. */
function shipped(name: string): string | undefined {
  return staysBelow(name) ? place(join(FIXTURES, name), FIXTURES) : undefined;
}

/** And beside the scenario. */
function own(scenario: string, name: string): string | undefined {
  const folder = dirname(scenario);
  return staysBelow(name) ? place(join(folder, name), folder) : undefined;
}

/** Resolves `%include` for a scenario in `file`: fixtures first, then beside the scenario. */
export function includesOf(file: string): (name: string) => SourceFile | undefined {
  return (name) => {
    const library = shipped(name);
    if (library !== undefined) return { name, text: Deno.readTextFileSync(library) };
    const beside = own(file, name);
    if (beside === undefined) return undefined;
    return { name: join(dirname(file), name), text: Deno.readTextFileSync(beside) };
  };
}

/** Reads a guest's `file:`, beside the scenario or in the fixtures. */
export function filesOf(file: string): (name: Located<string>) => Uint8Array | undefined {
  return ({ value: name }) => {
    const path = own(file, name) ?? shipped(name);
    return path === undefined ? undefined : Deno.readFileSync(path);
  };
}

/** Both, as building a guest wants them. */
export function filesFor(file: string): BuildOptions {
  return { include: includesOf(file), readFile: filesOf(file) };
}

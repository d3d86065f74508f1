// From paths on the command line to scenario files, in an order that does not depend on the file system.
import { basename, dirname, join, normalize, relative, resolve } from "node:path";
import { printable } from "../base/printable.ts";
import { Complaint } from "./complaint.ts";

export interface ScenarioFile {
  /** As the user named it, or below the folder that they named. */
  readonly path: string;
  /** `console/hello` */
  readonly name: string;
}

/** Folders deeper than this are not searched: a link may lead back up. */
const MAX_DEPTH = 16;

/** Scenario files in and below the paths; files as they are, folders searched for `*.yaml`. */
export function discover(paths: readonly string[]): ScenarioFile[] {
  const found = new Map<string, ScenarioFile>();
  for (const path of paths) {
    for (const file of discoverOne(normalize(path))) {
      // The same file named twice, in two ways perhaps, runs once.
      const whole = resolve(file.path);
      if (!found.has(whole)) found.set(whole, file);
    }
  }
  return [...found.values()];
}

function discoverOne(path: string): ScenarioFile[] {
  let info: Deno.FileInfo;
  try {
    info = Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      throw new Complaint(`There is no file or folder "${path}"`);
    }
    throw error;
  }
  if (info.isDirectory) {
    return search(path, 0).map((file) => ({ path: file, name: nameOf(file, path) }));
  }
  if (!/\.ya?ml$/.test(path)) {
    throw new Complaint(`"${path}" is not a scenario: those end in .yaml`);
  }
  return [{ path, name: nameOf(path, dirname(path)) }];
}

function search(folder: string, depth: number): string[] {
  if (depth > MAX_DEPTH) return [];
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap((entry) => {
    if (entry.name.startsWith(".") || entry.name === "node_modules") return [];
    const path = join(folder, entry.name);
    if (entry.isDirectory) return search(path, depth + 1);
    return entry.isFile && entry.name.endsWith(".yaml") ? [path] : [];
  });
}

/**
 * Relative to the nearest folder called `scenarios`, or to `root`. Paths are looked at whole: a case has the same id
 * wherever trivisor is started.
 */
function nameOf(path: string, root: string): string {
  const parts = resolve(path).replaceAll("\\", "/").split("/");
  const at = parts.lastIndexOf("scenarios", parts.length - 2);
  const named = at === -1
    ? relative(root, path).replaceAll("\\", "/")
    : parts.slice(at + 1).join("/");
  return printable(named === "" ? basename(path) : named).replace(/\.ya?ml$/, "");
}

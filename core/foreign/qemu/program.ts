// Finds QEMU, and asks it for its version.
import { spawnChild } from "../child.ts";

const NAME = "qemu-system-x86_64";
/** Where it is, if the environment may not be read: `PATH` is not known then. */
const FOLDERS = ["/usr/bin", "/usr/local/bin", "/bin", "/opt/homebrew/bin", "/opt/local/bin"];

/** A QEMU that answers. */
export interface Program {
  readonly path: string;
  /** As in `7.2.13`. */
  readonly version: string;
}

/** `absent` is a sentence without a full stop. */
export type FoundProgram = Program | { readonly absent: string };

/** Longer than that no QEMU takes to tell its version. */
const PATIENCE_MS = 10_000;

/** Finds the program of this name or path; absent: the one that is installed. Never throws. */
export async function findProgram(wanted?: string): Promise<FoundProgram> {
  const candidates = wanted === undefined
    ? [NAME, ...FOLDERS.map((folder) => `${folder}/${NAME}`)]
    : [wanted];
  const allowed = candidates.filter((command) =>
    Deno.permissions.querySync({ name: "run", command }).state === "granted"
  );
  if (allowed.length === 0) {
    return { absent: `trivisor has no permission to run ${candidates[0]}: give it --allow-run` };
  }
  let reason: string | undefined;
  for (const path of allowed) {
    const answer = await versionOf(path);
    if ("version" in answer) return answer;
    reason ??= answer.absent;
  }
  return { absent: reason ?? `there is no ${candidates[0]}` };
}

/** Coreutils' `timeout`, by which a QEMU ends even if this process was killed; undefined: there is none. */
export async function findTimeout(): Promise<string | undefined> {
  for (const path of ["/usr/bin/timeout", "/bin/timeout"]) {
    // Others with this name do not know these options.
    const works = await succeeds(path, ["--foreground", "--signal=KILL", "9", "true"]);
    if (works) return path;
  }
  return undefined;
}

async function succeeds(program: string, args: readonly string[]): Promise<boolean> {
  const spawned = spawnChild({ program, args });
  if ("failed" in spawned) return false;
  const ended = await spawned.child.exit(PATIENCE_MS);
  await spawned.child.end();
  return ended?.code === 0;
}

async function versionOf(path: string): Promise<FoundProgram> {
  const spawned = spawnChild({ program: path, args: ["--version"] });
  if ("failed" in spawned) return { absent: spawned.failed };
  const { child } = spawned;
  try {
    const line = await child.line(PATIENCE_MS);
    const version = line.kind === "line"
      ? /QEMU.* version (\d[\w.]*)/.exec(line.text)?.[1]
      : undefined;
    return version === undefined
      ? { absent: `${path} does not tell its version as QEMU does` }
      : { path, version };
  } finally {
    await child.end();
  }
}

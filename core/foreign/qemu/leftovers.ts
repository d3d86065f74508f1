// Folders of runs whose trivisor was killed: whoever makes one looks for those of the dead.
import process from "node:process";

/** Each folder's name begins so, and the process's number follows. */
const PREFIX = "trivisor-qemu-";

/** The prefix of this process's. */
export const TEMPORARY = `${PREFIX}${Deno.pid}-`;

/** What somebody in another PID namespace uses looks dead; so much younger it is left alone. */
const SETTLED_MS = 3_600_000;

/** Removes folders beside `own` whose processes are gone. Never throws. */
export async function sweepFolders(own: string, settledMs = SETTLED_MS): Promise<void> {
  const parent = own.slice(0, own.lastIndexOf("/"));
  try {
    for await (const { name } of Deno.readDir(parent)) {
      const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
      if (pid === undefined || lives(Number(pid))) continue;
      const path = `${parent}/${name}`;
      const { mtime } = await Deno.lstat(path);
      if (Date.now() - (mtime?.getTime() ?? Infinity) < settledMs) continue;
      await Deno.remove(path, { recursive: true });
    }
  } catch {
    // Somebody else was there first, or there is no permission to look.
  }
}

function lives(pid: number): boolean {
  try {
    // No signal at all, which Deno's own `kill` does not have.
    return process.kill(pid, 0);
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH");
  }
}

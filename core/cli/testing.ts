// For the tests of the command line: runs it in a process of its own, as users do, with read permission alone.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `trivisor` with these arguments and no permission but reading, and `more`. */
export async function trivisor(
  args: readonly string[],
  cwd: string,
  more: readonly string[] = [],
): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--ignore-env", "--allow-read", ...more, MAIN, ...args],
    cwd,
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Makes a folder with files, for one test. */
export async function withFiles(
  files: Readonly<Record<string, string>>,
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "trivisor-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.mkdir(dirname(join(folder, name)), { recursive: true });
      await Deno.writeTextFile(join(folder, name), text);
    }
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** A scenario that passes on every back end, unless told to expect another exit code. */
export function smallScenario(code = 0, tags = "[small]"): string {
  return `why: A small one
tags: ${tags}
guest:
  entry: long64
  program: |
    start:
        mov   edi, 0
        pv    shutdown
expect: { end: { shutdown: ${code} } }
`;
}

/** A scenario with two mistakes, one of them in its program. */
export const BROKEN = `why: Wrong
guest:
  entry: long46
  program: |
    start:
        mov   rax, bl
expect: {}
`;

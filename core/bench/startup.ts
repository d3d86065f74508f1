// From the start of a process to its verdict on one small case.
import { fromFileUrl } from "@std/path";

const MAIN = fromFileUrl(new URL("../cli/main.ts", import.meta.url));

/** Milliseconds of a whole `trivisor run FILE --backend native`; throws where it does not pass. */
export async function startToVerdict(path: string): Promise<number> {
  const start = performance.now();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--ignore-env", "--allow-read", MAIN, "run", path, "--backend", "native"],
  }).output();
  const elapsed = performance.now() - start;
  if (code !== 0) {
    throw new Error(`trivisor run: status ${code}\n${new TextDecoder().decode(stderr)}`);
  }
  return elapsed;
}

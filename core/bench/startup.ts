// From the start of a process to its verdict on one small case.
import { fileURLToPath } from "node:url";
import { type SubjectId, subjectName } from "../base/backend.ts";

const MAIN = fileURLToPath(new URL("../cli/main.ts", import.meta.url));

/** What each engine needs beyond reading, as `deno run` has it. */
const PERMISSIONS: Readonly<Partial<Record<SubjectId["engine"], readonly string[]>>> = {
  kvm: ["--allow-ffi"],
  qemu: ["--allow-run", "--allow-write"],
};

/** Milliseconds of a whole `trivisor run FILE` on a subject; throws where it does not pass. */
export async function startToVerdict(path: string, id: SubjectId): Promise<number> {
  const start = performance.now();
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--ignore-env", "--allow-read", ...PERMISSIONS[id.engine] ?? []],
      ...[MAIN, "run", path, "--backend", id.backend, "--engine", id.engine],
    ],
  }).output();
  const elapsed = performance.now() - start;
  if (code !== 0) {
    const [why = ""] = new TextDecoder().decode(stderr).split("\n");
    throw new Error(`${subjectName(id)}: status ${code}. ${why}`);
  }
  return elapsed;
}

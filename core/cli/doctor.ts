// `trivisor doctor`: which subjects this machine has, and why not the others. A canary runs on each that is there, so that a
// broken environment is not taken for a failed test.
import { BACKENDS, ENGINES } from "../base/backend.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { runGroup } from "../judge/run_group.ts";
import { left, WIDTH, wrap } from "../report/columns.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import { BACKEND_DEFINITIONS } from "../vmm/backends.ts";
import { toStdout } from "./output.ts";
import { loadProfile } from "./profile.ts";

/** The least that every back end must do: come to an end of the guest's choosing. */
const CANARY = `why: The canary of trivisor doctor
guest:
  entry: long64
  program: |
    start:
        mov   edi, 42
        pv    shutdown
expect: { end: { shutdown: 42 } }
`;

/** Prints the machine's state; fails if a subject that should work does not. */
export async function doctor(): Promise<ExitCode> {
  const { deno, v8, typescript } = Deno.version;
  const lines = [
    `Deno ${deno}, V8 ${v8}, TypeScript ${typescript}, ${Deno.build.os} ${Deno.build.arch}, ` +
    `${navigator.hardwareConcurrency} processors`,
    "",
    "permissions",
    ...(["read", "write", "run", "ffi", "env"] as const).map((name) =>
      `  ${left(name, 8)}${permission(name)}`
    ),
    "",
    "subjects",
  ];
  const results = await canaries();
  for (const backend of BACKENDS) {
    const summary = BACKEND_DEFINITIONS.get(backend)?.summary ?? "not built in this version";
    lines.push(`  ${left(`${backend}@embedded`, 26)}${results.get(backend) ?? "did not run"}`);
    lines.push(...wrap(summary, WIDTH - 28).map((text) => `  ${" ".repeat(26)}${text}`));
  }
  for (const engine of ENGINES.filter((name) => name !== "embedded")) {
    lines.push(`  ${left(`*@${engine}`, 26)}not built in this version`);
  }
  toStdout(lines.map((line) => line.trimEnd() + "\n").join(""));
  const broken = [...results.values()].some((text) => text !== "works");
  return broken ? EXIT_CODE.harness : EXIT_CODE.ok;
}

function permission(name: "read" | "write" | "run" | "ffi" | "env"): string {
  const { state } = Deno.permissions.querySync({ name });
  if (state === "granted") return "granted";
  return name === "read" ? "not granted: needed for scenarios" : "not granted, and not needed";
}

/** Runs the canary on every back end: by back end, `works` or what went wrong. */
async function canaries(): Promise<Map<string, string>> {
  const file = { name: "canary.yaml", text: CANARY };
  const { scenario, diagnostics } = parseScenario(file, "canary");
  if (!scenario) return new Map(BACKENDS.map((b) => [b, diagnostics[0]?.message ?? "no canary"]));
  const profile = loadProfile();
  const groups = plan(scenario, { backends: BACKENDS });
  const results = (await Promise.all(groups.map((group) => runGroup(group, { profile }))))
    .flatMap(({ cases }) => cases);
  return new Map(results.map(({ backend, verdict, reason }) => [
    backend,
    verdict === "passed" ? "works" : `${verdict}: ${reason ?? "no reason given"}`,
  ]));
}

// `trivisor doctor`: which subjects this machine has, what they can't do here, and why not the others. A canary runs on each
// that is there, so that a broken environment is not taken for a failed test.
import { BACKENDS, ENGINES, type SubjectId, subjectName, whyAbsent } from "../base/backend.ts";
import { type SubjectOptions, Subjects } from "../foreign/subjects.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { runGroup } from "../judge/run_group.ts";
import { left, WIDTH, wrap } from "../report/columns.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
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

const PERMISSIONS = {
  read: "needed for scenarios",
  ffi: "needed for KVM",
  run: "needed for QEMU and your own VMM",
  write: "needed for reports in files, and for what QEMU is handed",
  env: "not needed",
} as const;

/** Width of the column of names. */
const NAME_WIDTH = 26;

/** What came of one subject. */
interface Finding {
  /** `works`, or what went wrong. */
  readonly text: string;
  /** Told below it. */
  readonly notes: readonly string[];
  readonly broken: boolean;
}

/** Prints the machine's state; fails if a subject that should work does not. */
export async function doctor(options: SubjectOptions = {}): Promise<ExitCode> {
  const { deno, v8, typescript } = Deno.version;
  toStdout(
    [
      `Deno ${deno}, V8 ${v8}, TypeScript ${typescript}, ${Deno.build.os} ${Deno.build.arch}, ` +
      `${navigator.hardwareConcurrency} processors`,
      "",
      "permissions",
      ...Object.entries(PERMISSIONS).map(([name, use]) =>
        `  ${left(name, 8)}${granted(name, use)}`
      ),
      "",
      "subjects",
    ].join("\n") + "\n",
  );
  const subjects = new Subjects(options);
  let broken = false;
  try {
    for (const engine of ENGINES) {
      let absent: string | undefined;
      let found = 0;
      for (const backend of BACKENDS) {
        const id = { backend, engine };
        if (whyAbsent(id) !== undefined) continue;
        const finding = await examine(id, subjects);
        if ("absent" in finding) absent ??= finding.absent;
        else {
          found++;
          broken ||= finding.broken;
          toStdout(described(subjectName(id), finding));
        }
      }
      if (found === 0 && absent) {
        toStdout(described(`*@${engine}`, { text: `not here: ${absent}`, notes: [] }));
      }
    }
  } finally {
    await subjects.close();
  }
  return broken ? EXIT_CODE.harness : EXIT_CODE.ok;
}

function described(name: string, { text, notes }: Pick<Finding, "text" | "notes">): string {
  const indent = " ".repeat(NAME_WIDTH);
  const [first = "", ...more] = [text, ...notes].flatMap((t) => wrap(t, WIDTH - NAME_WIDTH - 2));
  return [left(name, NAME_WIDTH) + first, ...more.map((line) => indent + line)]
    .map((line) => `  ${line}`.trimEnd() + "\n").join("");
}

function granted(name: string, use: string): string {
  const { state } = Deno.permissions.querySync({ name: name as Deno.PermissionName });
  return state === "granted" ? "granted" : `not granted: ${use}`;
}

/** `absent`: why there is no such pair. */
async function examine(
  id: SubjectId,
  subjects: Subjects,
): Promise<Finding | { readonly absent: string }> {
  const inspected = await subjects.inspect(id);
  if ("absent" in inspected) return inspected;
  const { subject, availability } = inspected;
  if (!availability.available) {
    return { text: `not here: ${availability.why}`, notes: [subject.summary], broken: false };
  }
  const { gaps = [] } = availability;
  const what = [subject.version, subject.host && `on ${subject.host}`].filter(Boolean).join(" ");
  const wrong = await canary(id, subjects);
  return {
    text: wrong ?? (what ? `works: ${what}` : "works"),
    notes: [subject.summary, ...gaps.map((gap) => `- not here: ${gap}`)],
    broken: wrong !== undefined,
  };
}

/** What went wrong with the canary, if anything. */
async function canary({ backend, engine }: SubjectId, subjects: Subjects) {
  const { scenario, diagnostics } = parseScenario({ name: "canary.yaml", text: CANARY }, "canary");
  if (!scenario) return diagnostics[0]?.message ?? "no canary";
  const [group] = plan(scenario, { backends: [backend], engines: [engine] });
  if (!group) return "no canary";
  const [result] = (await runGroup(group, { profile: await loadProfile(), subjects })).cases;
  if (result?.verdict === "passed" || result?.verdict === "unobserved") return undefined;
  return `${result?.verdict}: ${result?.reason ?? "no reason given"}`;
}

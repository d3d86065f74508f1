// `trivisor boot FILE`: runs a kernel or a ROM without a scenario and prints what it says: for a first look at a guest that
// will be a scenario's later.
import { type Backend, type Engine, subjectName } from "../base/backend.ts";
import { renderDiagnostic } from "../base/diagnostic.ts";
import { type SubjectOptions, Subjects } from "../foreign/subjects.ts";
import { type GroupContext, GroupRunner } from "../judge/run_group.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { grouped } from "../report/columns.ts";
import { parseScenario } from "../scenario/parse.ts";
import type { CaseGroup } from "../scenario/case.ts";
import { plan } from "../scenario/plan.ts";
import { describeEnd } from "../trace/print.ts";
import type { EndState } from "../trace/exit.ts";
import { Complaint } from "./complaint.ts";
import { toStderr, toStdout } from "./output.ts";
import { loadProfile } from "./profile.ts";

export interface BootOptions {
  /** Absent: the usual ones of each engine. */
  readonly backends?: readonly Backend[];
  readonly engines: readonly Engine[];
  /** What is outside of trivisor. */
  readonly outside?: SubjectOptions;
  /** As in a scenario; absent: what the file looks like. */
  readonly format?: string;
  readonly memory?: string;
  readonly cpus?: number;
  readonly commandLine?: string;
  readonly modules?: readonly string[];
  /** To run at most; then the measured time is as good as unlimited. */
  readonly instructions?: number;
}

/** For who waits for so many instructions. */
const PATIENCE = "36000 s";

/** Runs the file on each back end; its console goes to standard output, the rest to standard error. */
export async function boot(path: string, options: BootOptions): Promise<ExitCode> {
  const { backends, engines, format, memory, cpus, commandLine, modules = [], instructions } =
    options;
  const guest = {
    file: path,
    ...(format === undefined ? {} : { format }),
    ...(memory === undefined ? {} : { memory }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(commandLine === undefined ? {} : { "command-line": commandLine }),
    ...(modules.length > 0 ? { modules } : {}),
  };
  // JSON is YAML. Any end will do: what it means is for the user to say.
  const said = {
    why: "A file to look at",
    guest,
    expect: { end: "any" },
    ...(instructions === undefined ? {} : { limits: { instructions, wall: PATIENCE } }),
  };
  const text = JSON.stringify(said, null, 2);
  const { scenario, diagnostics } = parseScenario({ name: "the command line", text }, "boot");
  if (!scenario) throw new Complaint(diagnostics.map(renderDiagnostic).join("\n"));
  // The user names these files, not a scenario that may be hostile.
  const readFile = ({ value }: { readonly value: string }) => readNamed(value);
  const subjects = new Subjects(options.outside);
  const context = { profile: await loadProfile(), filesFor: () => ({ readFile }), subjects };
  try {
    return await bootOn(plan(scenario, { ...(backends ? { backends } : {}), engines }), context);
  } finally {
    await subjects.close();
  }
}

async function bootOn(groups: readonly CaseGroup[], context: GroupContext): Promise<ExitCode> {
  let code: ExitCode = EXIT_CODE.ok;
  for (const group of groups) {
    const runner = new GroupRunner(group, context);
    for (const subject of group.cases) {
      const name = subject.engine === "embedded" ? subject.backend : subjectName(subject);
      const outcome = await runner.run(subject);
      if ("skipped" in outcome) throw new Complaint(`${name}: ${outcome.skipped}`);
      if ("error" in outcome) {
        const { error } = outcome;
        throw new Complaint(
          typeof error === "string" ? error : error.map(renderDiagnostic).join("\n"),
        );
      }
      const { console, end, counts, wallNs } = outcome.trace;
      toStdout(new TextDecoder().decode(console));
      toStderr(
        `${name}: ${describeEnd(end)}, ${grouped(counts.instructions)} instructions, ` +
          `${grouped(counts.exits.total)} exits, ${(wallNs / 1e9).toFixed(1)} s\n`,
      );
      if (!isOrderly(end)) code = EXIT_CODE.failed;
    }
  }
  return code;
}

/** Did the guest end by itself? */
function isOrderly({ kind }: EndState): boolean {
  return kind === "shutdown" || kind === "halt";
}

function readNamed(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new Complaint(`${path}: ${error instanceof Error ? error.message : error}`);
  }
}

// `trivisor run`: runs scenarios and says what became of them.
import { type ExitCode, exitCodeOf } from "../judge/verdict.ts";
import { ConsoleReporter } from "../report/console.ts";
import { JsonReporter } from "../report/json.ts";
import { ProgressReporter } from "../report/progress.ts";
import type { Reporter, SuiteOutcome, Write } from "../report/reporter.ts";
import { Complaint } from "./complaint.ts";
import { chooseColours, FileOutput, toStderr, toStdout } from "./output.ts";
import { runSuite, type SuiteOptions } from "./suite.ts";

export interface RunVerbOptions extends SuiteOptions {
  readonly reporter: "console" | "json";
  readonly output?: string;
  readonly overhead?: boolean;
  readonly allowEmpty?: boolean;
}

/** Runs, reports, and tells the exit code. */
export async function run(options: RunVerbOptions): Promise<ExitCode> {
  const file = options.output === undefined ? undefined : new FileOutput(options.output);
  chooseColours(file ? { isTerminal: () => false } : Deno.stdout);
  const reporters = [...progress(), reporterOf(options, file?.write ?? toStdout)];
  const outcome = await runSuite(options, {
    report: (event) => reporters.forEach((r) => r.report(event)),
  });
  file?.flush();
  const nothing = whyNothingRan(outcome, options);
  if (nothing && !options.allowEmpty) {
    throw new Complaint(
      `${nothing}. \`trivisor list\` shows what there is; --allow-empty makes this a success`,
    );
  }
  return exitCodeOf(outcome.summary, outcome.harnessErrors);
}

function reporterOf({ reporter, overhead }: RunVerbOptions, write: Write): Reporter {
  switch (reporter) {
    case "console":
      return new ConsoleReporter(write, { overhead: overhead ?? false });
    case "json":
      return new JsonReporter(write);
    default:
      return reporter satisfies never;
  }
}

/** Progress goes to a terminal only. It stands first, so that its line is gone before another reporter writes. */
function progress(): Reporter[] {
  return Deno.stderr.isTerminal() ? [new ProgressReporter(toStderr, () => performance.now())] : [];
}

/** A run in which nothing ran proves nothing: why, or undefined where something did. */
function whyNothingRan({ groups }: SuiteOutcome, options: RunVerbOptions): string | undefined {
  const { tags = [], grep, shard } = options;
  const limits = [
    ...tags.map((tag) => `--tag ${tag}`),
    ...(grep === undefined ? [] : [`--grep ${grep}`]),
    ...(shard ? [`--shard ${shard.index}/${shard.count}`] : []),
  ].join(" ");
  if (groups.some((g) => g.fault || g.cases.some((c) => c.verdict !== "skipped"))) return undefined;
  const [first] = groups.flatMap((g) => g.cases);
  if (!first) return `Nothing was selected${limits === "" ? "" : ` by ${limits}`}`;
  return `Nothing ran: everything selected was skipped, the first because ${
    first.reason ?? "it was"
  }`;
}

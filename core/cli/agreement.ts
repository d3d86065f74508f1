// `trivisor agreement`: how far real hypervisors agree with the embedded engine, as a table for the README.
import { DEFAULT_ENGINE, type Engine, whyAbsent } from "../base/backend.ts";
import type { GroupResult } from "../judge/result.ts";
import { type ExitCode, exitCodeOf } from "../judge/verdict.ts";
import { agreementTable } from "../report/agreement.ts";
import { Complaint } from "./complaint.ts";
import { toStderr, toStdout } from "./output.ts";
import { runSuite, type SuiteOptions } from "./suite.ts";

export interface AgreementOptions extends SuiteOptions {
  /** Put the table there, between the marks. */
  readonly write?: string;
  /** Name of the marks; `agreement` by default. */
  readonly mark?: string;
  /** Whether they are held against the embedded engine, too, and not against the scenarios and each other alone. */
  readonly embedded: boolean;
}

/** What is judged by default beside the embedded engine. */
const ENGINES: readonly Engine[] = ["kvm", "qemu"];

/** Comments between which the table goes; a file may have several such places, by name. */
export function marks(name = "agreement"): { readonly begin: string; readonly end: string } {
  return { begin: `<!-- ${name}:begin -->`, end: `<!-- ${name}:end -->` };
}

/** Runs the suite on the embedded engine and the others, and prints or writes the table of the others. */
export async function agreement(options: AgreementOptions): Promise<ExitCode> {
  // A file that can't take the table is better known before a long run.
  const file = options.write;
  const before = file === undefined ? undefined : Deno.readTextFileSync(file);
  const { begin, end } = marks(options.mark);
  const put = (text: string, table: string) => withTable(text, table, { begin, end, file });
  if (before !== undefined) put(before, "");
  const { engines = ENGINES, ...rest } = options;
  const others = engines.filter((engine) => engine !== DEFAULT_ENGINE);
  const run = options.embedded ? [DEFAULT_ENGINE, ...others] : others;
  const outcome = await runSuite({ ...rest, engines: run });
  const table = agreementTable(onOthers(outcome.groups));
  if (file === undefined || before === undefined) toStdout(table);
  else {
    Deno.writeTextFileSync(file, put(before, table));
    toStderr(`Wrote ${file}\n`);
  }
  for (const { fault } of outcome.groups) if (fault) toStderr(`${fault.text}\n`);
  return exitCodeOf(outcome.summary, outcome.harnessErrors);
}

/** The embedded engine is what they are held against: it has no column, and neither have pairs that nobody has. */
function onOthers(groups: readonly GroupResult[]): GroupResult[] {
  return groups.map((group) => ({
    ...group,
    cases: group.cases.filter((c) => c.engine !== DEFAULT_ENGINE && whyAbsent(c) === undefined),
  }));
}

/** The text with the table between its marks, in place of what was there. */
export function withTable(
  text: string,
  table: string,
  place: { readonly begin: string; readonly end: string; readonly file?: string | undefined },
): string {
  const { file = "the file" } = place;
  const begin = text.indexOf(place.begin);
  const end = text.indexOf(place.end);
  if (begin === -1 || end < begin) {
    throw new Complaint(
      `${file} has no lines ${place.begin} and ${place.end} to put the table between`,
    );
  }
  return `${text.slice(0, begin + place.begin.length)}\n\n${table}\n${text.slice(end)}`;
}

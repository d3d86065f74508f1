// `trivisor costs`: what exits cost on this host's KVM, as a table and as a cost profile for `--profile`; what KVM's options
// change; what its own counters stand for.
import { costProfileText, costTable } from "../report/cost_report.ts";
import { optionTable, statisticsTable } from "../report/kvm_report.ts";
import { countStatistics } from "../bench/kvm_statistics.ts";
import { measureOptionCases } from "../bench/option_cases.ts";
import { measureOptions } from "../bench/options.ts";
import { closeKvm } from "../engine/kvm/engine.ts";
import { KvmUnavailable } from "../engine/kvm/system.ts";
import { measureCosts } from "../bench/costs.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { parseCostProfile } from "../vmm/parse_profile.ts";
import { Complaint } from "./complaint.ts";
import { FileOutput, toStderr, toStdout } from "./output.ts";

export interface CostsOptions {
  /** Where the profile goes; absent: nowhere. */
  readonly write?: string;
  /** Of the profile. */
  readonly name?: string;
  /** Samples of each loop. */
  readonly rounds?: number;
}

/** What there is to find out. */
export type CostsSubject = "measure" | "options" | "statistics";

const DEFAULT_NAME = "this-host";
const DEFAULT_ROUNDS = 15;

/** Finds it out and prints it. */
export async function costs(
  what: CostsSubject,
  options: CostsOptions = {},
): Promise<ExitCode> {
  const { rounds = DEFAULT_ROUNDS } = options;
  try {
    switch (what) {
      case "measure":
        measure(options, rounds);
        break;
      case "options":
        toStdout(optionTable(await withCases(rounds)));
        break;
      case "statistics":
        toStdout(statisticsTable(countStatistics()));
        break;
      default:
        return what satisfies never;
    }
    return EXIT_CODE.ok;
  } catch (error) {
    if (!(error instanceof KvmUnavailable)) throw error;
    throw new Complaint(`There is no KVM to measure: ${error.message}`);
  }
}

/** Bare loops, and whole cases. */
async function withCases(rounds: number) {
  const { host, results } = await measureOptions({ rounds });
  try {
    return { host, results: [...results, ...measureOptionCases({ rounds })] };
  } finally {
    closeKvm();
  }
}

/** Measures, prints, and writes what was asked for. */
function measure({ write, name = DEFAULT_NAME }: CostsOptions, rounds: number): void {
  const output = write === undefined ? undefined : new FileOutput(write);
  const report = measureCosts({ rounds });
  toStdout(costTable(report));
  if (!output || write === undefined) return;
  const date = new Date().toISOString().slice(0, 10);
  const text = costProfileText(report, { name, date });
  const { diagnostics } = parseCostProfile({ name: write, text });
  if (diagnostics[0]) throw new Error(`The profile can't be read again: ${diagnostics[0].message}`);
  output.write(text);
  output.flush();
  toStderr(`Cost profile ${name}: trivisor run --profile ${write}\n`);
}

// `trivisor costs measure`: what exits cost on this host's KVM, as a table, and as a cost profile for `--profile`.
import { costProfileText, costTable } from "../report/cost_report.ts";
import { KvmUnavailable } from "../engine/kvm/system.ts";
import { measureCosts } from "../bench/costs.ts";
import { EXIT_CODE, type ExitCode } from "../judge/verdict.ts";
import { parseCostProfile } from "../vmm/cost_profile.ts";
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

const DEFAULT_NAME = "this-host";
const DEFAULT_ROUNDS = 15;

/** Measures, prints, and writes what was asked for. */
export function measure(options: CostsOptions): ExitCode {
  const { write, name = DEFAULT_NAME, rounds = DEFAULT_ROUNDS } = options;
  const output = write === undefined ? undefined : new FileOutput(write);
  const report = withKvm(() => measureCosts({ rounds }));
  toStdout(costTable(report));
  if (!output || write === undefined) return EXIT_CODE.ok;
  const date = new Date().toISOString().slice(0, 10);
  const text = costProfileText(report, { name, date });
  const { diagnostics } = parseCostProfile({ name: write, text });
  if (diagnostics[0]) throw new Error(`The profile can't be read again: ${diagnostics[0].message}`);
  output.write(text);
  output.flush();
  toStderr(`Cost profile ${name}: trivisor run --profile ${write}\n`);
  return EXIT_CODE.ok;
}

/** Complains where there is no KVM. */
export function withKvm<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    if (error instanceof KvmUnavailable) throw new Complaint(`No KVM here: ${error.message}`);
    throw error;
  }
}

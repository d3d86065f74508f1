// `deno task bench [--json] [--rounds N]`: how fast trivisor is, beside QEMU TCG in the same run where that is installed.
// Times depend on the machine and on what else it does: read the ratios, and the intervals.
import { complaintOf } from "./complaint.ts";
import { positive } from "./options.ts";
import { toStderr, toStdout } from "./output.ts";
import { left, right } from "../report/columns.ts";
import { toJson } from "../report/json.ts";
import {
  type BenchOptions,
  measureKernels,
  type Measurement,
  measureStart,
  measureThroughput,
} from "../bench/measurements.ts";
import { qemuVersion } from "../bench/qemu.ts";

const DEFAULT_ROUNDS = 9;

async function bench(rounds: number, json: boolean): Promise<void> {
  const version = await qemuVersion();
  const directory = await Deno.makeTempDir({ prefix: "trivisor-bench-" });
  const onStep = (name: string) => json ? undefined : toStderr(`measuring ${name}\n`);
  const options: BenchOptions = { rounds, directory, qemu: version !== undefined, onStep };
  try {
    const measurements: Measurement[] = [];
    onStep("process start to verdict");
    measurements.push(...await measureStart(options));
    onStep("small cases");
    measurements.push(...await measureThroughput(options));
    measurements.push(...await measureKernels(options));
    toStdout(json ? toJson(document(version, measurements)) + "\n" : table(version, measurements));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function document(version: string | undefined, measurements: readonly Measurement[]) {
  const { os, arch } = Deno.build;
  const { deno, v8 } = Deno.version;
  return { version: 1, machine: { os, arch, deno, v8, qemu: version ?? null }, measurements };
}

function table(version: string | undefined, measurements: readonly Measurement[]): string {
  const lines = measurements.map(({ name, unit, median, low, high, count }) =>
    left(name, 38) + right(number(median), 9) + ` ${left(unit, 9)}` +
    `${number(low)} to ${number(high)} (${count})`
  );
  return [
    left("", 38) + right("median", 9) + ` ${left("", 9)}95 % interval (samples)`,
    ...lines,
    version ? `beside ${version}` : "QEMU is not installed, or may not be run: not compared",
    "",
  ].join("\n");
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

if (import.meta.main) {
  const at = Deno.args.indexOf("--rounds");
  try {
    const rounds = at === -1 ? DEFAULT_ROUNDS : positive("--rounds")(Deno.args[at + 1] ?? "");
    await bench(rounds, Deno.args.includes("--json"));
  } catch (error) {
    const { text, exitCode } = complaintOf(error);
    toStderr(`${text}\n`);
    Deno.exit(exitCode);
  }
}

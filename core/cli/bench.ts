// `deno task bench [--json] [--rounds N] [--against CHECKOUT]`: how fast trivisor is, beside QEMU TCG in the same run where
// that is installed, and beside another version of itself; and its way to KVM beside the same in C.
// Times depend on the machine and on what else it does: read the ratios, and the intervals.
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { complaintOf } from "./complaint.ts";
import { positive } from "./options.ts";
import { toStderr, toStdout } from "./output.ts";
import { left, right } from "../report/columns.ts";
import { toJson } from "../report/json.ts";
import {
  type BenchOptions,
  measureExits,
  measureKernels,
  type Measurement,
  measureStart,
  measureThroughput,
} from "../bench/measurements.ts";
import { qemuVersion } from "../bench/qemu.ts";

const DEFAULT_ROUNDS = 9;
const NAME_WIDTH = 44;

/** How the version in another checkout runs a kernel, by its own `core/bench/embedded.ts`. */
async function otherVersion(checkout: string): Promise<BenchOptions["other"]> {
  const module = pathToFileURL(join(resolve(checkout), "core", "bench", "embedded.ts"));
  const { benchProfile, runEmbedded }: typeof import("../bench/embedded.ts") = await import(
    module.href
  );
  const profile = benchProfile();
  return (bytes) => runEmbedded(bytes, profile);
}

async function bench(rounds: number, json: boolean, against?: string): Promise<void> {
  const version = await qemuVersion();
  const directory = await Deno.makeTempDir({ prefix: "trivisor-bench-" });
  const onStep = (name: string) => json ? undefined : toStderr(`measuring ${name}\n`);
  const other = against === undefined ? undefined : await otherVersion(against);
  const absent: string[] = [];
  const options: BenchOptions = {
    rounds,
    directory,
    qemu: version !== undefined,
    onStep,
    onAbsent: (why) => absent.push(why),
    ...(other ? { other } : {}),
  };
  try {
    const measurements: Measurement[] = [];
    onStep("process start to verdict");
    measurements.push(...await measureStart(options));
    onStep("small cases");
    measurements.push(...await measureThroughput(options));
    onStep("port exits on KVM");
    measurements.push(...await measureExits(options));
    measurements.push(...await measureKernels(options));
    toStdout(
      json
        ? toJson(document(version, measurements, absent)) + "\n"
        : table(version, measurements) + absent.map((why) => `not measured: ${why}\n`).join(""),
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function document(
  version: string | undefined,
  measurements: readonly Measurement[],
  absent: readonly string[],
) {
  const { os, arch } = Deno.build;
  const { deno, v8 } = Deno.version;
  return {
    version: 1,
    machine: { os, arch, deno, v8, qemu: version ?? null },
    measurements,
    absent,
  };
}

function table(version: string | undefined, measurements: readonly Measurement[]): string {
  const lines = measurements.map(({ name, unit, median, low, high, count }) =>
    left(name, NAME_WIDTH) + right(number(median), 9) + ` ${left(unit, 9)}` +
    `${number(low)} to ${number(high)} (${count})`
  );
  return [
    left("", NAME_WIDTH) + right("median", 9) + ` ${left("", 9)}95 % interval (samples)`,
    ...lines,
    version ? `beside ${version}` : "QEMU is not installed, or may not be run: not compared",
    "",
  ].join("\n");
}

function number(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

if (import.meta.main) {
  const valueOf = (option: string) => {
    const at = Deno.args.indexOf(option);
    return at === -1 ? undefined : Deno.args[at + 1] ?? "";
  };
  try {
    const rounds = valueOf("--rounds");
    await bench(
      rounds === undefined ? DEFAULT_ROUNDS : positive("--rounds")(rounds),
      Deno.args.includes("--json"),
      valueOf("--against"),
    );
  } catch (error) {
    const { text, exitCode } = complaintOf(error);
    toStderr(`${text}\n`);
    Deno.exit(exitCode);
  }
}

// What `deno task bench` measures, one function a subject.
import { join } from "@std/path";
import { assembleKernel, benchProfile, runEmbedded } from "./embedded.ts";
import { type Kernel, KERNELS } from "./kernels.ts";
import { firmware, runQemu } from "./qemu.ts";
import { interleave } from "./sampling.ts";
import { startToVerdict } from "./startup.ts";
import { type Estimate, estimate, estimateRatio } from "./statistics.ts";
import { casesPerSecond, SMALL_CASE, smallGroup } from "./throughput.ts";

/** One figure of the report. */
export interface Measurement extends Estimate {
  readonly name: string;
  /** `ms`, `cases/s`, `MIPS`, or `x` for a ratio. */
  readonly unit: string;
}

export interface BenchOptions {
  /** Samples of each. */
  readonly rounds: number;
  /** Is QEMU to run beside the embedded engine? */
  readonly qemu: boolean;
  /** A folder for what other processes are given. */
  readonly directory: string;
  /** Told what is measured next. */
  readonly onStep: (name: string) => void;
}

/** Process start to verdict, with everything in the caches of Deno and the system. */
export async function measureStart({ rounds, directory }: BenchOptions): Promise<Measurement[]> {
  const path = join(directory, "small.yaml");
  await Deno.writeTextFile(path, SMALL_CASE);
  const samples = await interleave([{ name: "", sample: () => startToVerdict(path) }], rounds, 2);
  return [{ name: "process start to verdict", unit: "ms", ...estimate(samples.get("") ?? []) }];
}

/** Cases a second in one process. */
export async function measureThroughput({ rounds }: BenchOptions): Promise<Measurement[]> {
  const group = smallGroup();
  const profile = benchProfile();
  const probe = { name: "", sample: () => casesPerSecond(group, profile) };
  const samples = await interleave([probe], rounds, 2);
  return [{ name: "small cases", unit: "cases/s", ...estimate(samples.get("") ?? []) }];
}

/** Million guest instructions a second on every kernel. */
export async function measureKernels(options: BenchOptions): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (const kernel of KERNELS) {
    options.onStep(kernel.name);
    measurements.push(...await measureKernel(kernel, options));
  }
  return measurements;
}

async function measureKernel(
  { name, program, rounds: loops }: Kernel,
  { rounds, qemu, directory }: BenchOptions,
): Promise<Measurement[]> {
  const profile = benchProfile();
  const [whole, once] = [assembleKernel(program(loops)), assembleKernel(program(1))];
  // Both run the same instructions; the embedded engine counts them exactly.
  const wholeRun = runEmbedded(whole, profile);
  const difference = wholeRun.instructions - runEmbedded(once, profile).instructions;
  const paths = { whole: join(directory, "whole.rom"), once: join(directory, "once.rom") };
  await Deno.writeFile(paths.whole, firmware(whole));
  await Deno.writeFile(paths.once, firmware(once));
  const mips = (instructions: number, seconds: number) => instructions / seconds / 1e6;
  const samples = await interleave([
    {
      name: "embedded",
      sample: () => mips(wholeRun.instructions, runEmbedded(whole, profile).seconds),
    },
    ...(qemu
      ? [{
        name: "qemu",
        // A process of QEMU takes a while to start: what one round of the kernel takes is not the kernel's.
        sample: async () => {
          const start = await runQemu(paths.once);
          return mips(difference, await runQemu(paths.whole) - start);
        },
      }]
      : []),
  ], rounds);
  const own = samples.get("embedded") ?? [];
  const other = samples.get("qemu");
  return [
    { name: `${name}, embedded`, unit: "MIPS", ...estimate(own) },
    ...(other
      ? [
        { name: `${name}, QEMU TCG`, unit: "MIPS", ...estimate(other) },
        { name: `${name}, embedded / QEMU`, unit: "x", ...estimateRatio(own, other) },
      ]
      : []),
  ];
}

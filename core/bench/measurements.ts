// What `deno task bench` measures, one function a subject.
import { join } from "node:path";
import { type SubjectId, subjectName } from "../base/backend.ts";
import { assembleKernel, benchProfile, type KernelRun, runEmbedded } from "./embedded.ts";
import { type Kernel, KERNELS } from "./kernels.ts";
import { firmware, runQemu } from "./qemu.ts";
import { interleave, type Probe } from "./sampling.ts";
import { startToVerdict } from "./startup.ts";
import { type Estimate, estimate, estimateRatio } from "./statistics.ts";
import { casesPerSecond, SMALL_CASE, smallGroup } from "./throughput.ts";

/** One figure of the report. */
export interface Measurement extends Estimate {
  readonly name: string;
  /** `ms`, `ns`, `cases/s`, `MIPS`, or `x` for a ratio. */
  readonly unit: string;
}

export interface BenchOptions {
  /** Samples of each. */
  readonly rounds: number;
  /** Is QEMU to run beside the embedded engine? */
  readonly qemu: boolean;
  /** A folder for what other processes are given. */
  readonly directory: string;
  /** How another version of trivisor runs a kernel, to be measured beside this one. */
  readonly other?: (bytes: Uint8Array) => KernelRun;
  /** Told what is measured next. */
  readonly onStep: (name: string) => void;
  /** Told what this machine does not have, and why. */
  readonly onAbsent: (why: string) => void;
}

/** The subjects whose start is measured: the embedded engine, which is always there, and what this machine has. */
const STARTED: readonly SubjectId[] = [
  { backend: "native", engine: "embedded" },
  { backend: "full-hw", engine: "kvm" },
  { backend: "full-bt", engine: "qemu" },
];

/** Process start to verdict, with everything in the caches of Deno and the system. */
export async function measureStart(
  { rounds, directory, onAbsent }: BenchOptions,
): Promise<Measurement[]> {
  const path = join(directory, "small.yaml");
  await Deno.writeTextFile(path, SMALL_CASE);
  const probes: Probe[] = [];
  for (const id of STARTED) {
    const name = `process start to verdict, ${subjectName(id)}`;
    const sample = () => startToVerdict(path, id);
    try {
      if (id.engine !== "embedded") await sample();
      probes.push({ name, sample });
    } catch (error) {
      onAbsent(error instanceof Error ? error.message : String(error));
    }
  }
  const samples = await interleave(probes, rounds, 2);
  return probes.map(({ name }) => ({ name, unit: "ms", ...estimate(samples.get(name) ?? []) }));
}

/** Port exits of KVM beside the same loop in C, where there is KVM. */
export async function measureExits(options: BenchOptions): Promise<readonly Measurement[]> {
  const { measurePortExits } = await import("./kvm.ts");
  const found = await measurePortExits(options);
  if (!("not" in found)) return found;
  options.onAbsent(`port exits on KVM: ${found.not}`);
  return [];
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
  { rounds, qemu, directory, other }: BenchOptions,
): Promise<Measurement[]> {
  const profile = benchProfile();
  const [whole, once] = [assembleKernel(program(loops)), assembleKernel(program(1))];
  // All run the same instructions; the embedded engine counts them exactly.
  const { instructions } = runEmbedded(whole, profile);
  const difference = instructions - runEmbedded(once, profile).instructions;
  const paths = { whole: join(directory, "whole.rom"), once: join(directory, "once.rom") };
  await Deno.writeFile(paths.whole, firmware(whole));
  await Deno.writeFile(paths.once, firmware(once));
  const mips = (count: number, seconds: number) => count / seconds / 1e6;
  // A process of QEMU takes a while to start: what one round of the kernel takes is not the kernel's.
  const beyondStart = async () => {
    const start = await runQemu(paths.once);
    return mips(difference, await runQemu(paths.whole) - start);
  };
  const rivals = [
    ...(other
      ? [{ name: "other version", sample: () => mips(instructions, other(whole).seconds) }]
      : []),
    ...(qemu ? [{ name: "QEMU TCG", sample: beyondStart }] : []),
  ];
  const own = () => mips(instructions, runEmbedded(whole, profile).seconds);
  const samples = await interleave([{ name: "embedded", sample: own }, ...rivals], rounds);
  const taken = (of: string) => samples.get(of) ?? [];
  return [
    { name: `${name}, embedded`, unit: "MIPS", ...estimate(taken("embedded")) },
    ...rivals.flatMap((rival) => [
      { name: `${name}, ${rival.name}`, unit: "MIPS", ...estimate(taken(rival.name)) },
      {
        name: `${name}, over ${rival.name}`,
        unit: "x",
        ...estimateRatio(taken("embedded"), taken(rival.name)),
      },
    ]),
  ];
}

// `trivisor costs measure`: what each kind of exit costs on this host's KVM, from Deno. Loops run in turns; of each the time of
// the loop that does all but the exit is taken off, round by round, so that slow noise cancels out.
import { hostOf } from "../engine/kvm/host.ts";
import { KvmSystem } from "../engine/kvm/system.ts";
import type { BareMachine } from "./bare_machine.ts";
import { systemFile } from "./c_library.ts";
import type { CostHost, CostLoop } from "./cost_loops.ts";
import { type LoopRun, LoopRuns } from "./loop_runs.ts";
import { type Estimate, estimate } from "./statistics.ts";

/** The machine that was measured. */
export interface MeasuredHost extends CostHost {
  readonly cpu: string;
  /** Of Linux. */
  readonly release: string;
  /** Cycles of the guests' time stamp counter, which is the host's, a nanosecond; 0: KVM does not say. */
  readonly cyclesPerNs: number;
}

/** What came of one loop. */
export interface CostResult {
  readonly loop: CostLoop;
  /** Nanoseconds an iteration, beyond the loop it is compared with. */
  readonly ns?: Estimate;
  /** Why there is no figure; or why the figure stands for no exit. */
  readonly not?: string;
}

export interface CostReport {
  readonly host: MeasuredHost;
  readonly results: readonly CostResult[];
}

export interface CostOptions {
  /** Samples of each loop. */
  readonly rounds: number;
  /** Told what is done next. */
  readonly onStep?: (name: string) => void;
  /** Milliseconds that a sample takes, about. */
  readonly sampleMs?: number;
}

const DEFAULT_SAMPLE_MS = 4;
/** No round trip to a hypervisor has ever cost less, in cycles: what takes less has not left the guest. */
const LEAST_EXIT = 300;

/** What this machine is. */
export function costHost(system: KvmSystem): Omit<MeasuredHost, "cyclesPerNs"> {
  const text = systemFile("/proc/cpuinfo") ?? "";
  const field = (name: string) =>
    text.match(new RegExp(`^${name}\\s*: (.*)$`, "m"))?.[1]?.trim() ?? "unknown";
  const { host, version } = hostOf(system);
  return {
    cpu: `${field("model name")} (family ${field("cpu family")}, model ${field("model")})`,
    release: version,
    technique: host,
    amd: /AMD|Hygon/.test(field("vendor_id")),
  };
}

/** Measures everything. Throws `KvmUnavailable` where there is no KVM. */
export function measureCosts({ rounds, onStep, sampleMs }: CostOptions): CostReport {
  const system = KvmSystem.open();
  const here = costHost(system);
  const loops = new LoopRuns(system, here);
  const { runs, kernel } = loops;
  try {
    const host = { ...here, cyclesPerNs: kernel.tscKhz / 1e6 };
    for (const run of runs) {
      onStep?.(run.loop.name);
      run.calibrate(sampleMs ?? DEFAULT_SAMPLE_MS);
    }
    for (let round = 0; round < rounds; round++) for (const run of runs) run.sample();
    const byName = new Map(runs.map((run) => [run.loop.name, run]));
    const results = runs.map((run) => result(run, byName.get(run.loop.less ?? ""), host));
    return { host, results: [...results, kicked(kernel, rounds)] };
  } finally {
    loops.dispose();
    system.close();
  }
}

function result(run: LoopRun, less: LoopRun | undefined, host: MeasuredHost): CostResult {
  const { loop } = run;
  const why = run.why ?? less?.why;
  if (why) return { loop, not: why };
  const beyond = run.samples.map((ns, round) => ns - (less?.samples[round] ?? 0));
  const ns = estimate(beyond);
  const not = less && notAnExit(loop, ns, host);
  return { loop, ns, ...(not ? { not } : {}) };
}

/** Why a figure stands for no exit. */
function notAnExit(loop: CostLoop, ns: Estimate, host: MeasuredHost): string | undefined {
  if (host.technique === "pvm" && loop.level === "kernel" && loop.by === "kernel") {
    return "PVM emulates every instruction at CPL 0: what more this one takes is no exit";
  }
  const least = LEAST_EXIT / (host.cyclesPerNs || 1);
  if (ns.low >= least) return undefined;
  return loop.by === "user-space"
    ? "too uncertain: measure again while the machine does nothing else"
    : "too little, or too uncertain, for an exit: KVM leaves it to the guest";
}

/** What taking a CPU from its guest costs at least. */
const KICK: CostLoop = {
  name: "kick",
  keys: ["external-interrupt"],
  level: "kernel",
  by: "user-space",
  body: "",
  how: "KVM_RUN told to come back before it enters the guest; a signal on its way is not in it",
};

function kicked(machine: BareMachine, rounds: number): CostResult {
  const times = 1000;
  const samples = Array.from({ length: rounds }, () => {
    const start = performance.now();
    for (let n = 0; n < times; n++) machine.bounce();
    return (performance.now() - start) * 1e6 / times;
  });
  return { loop: KICK, ns: estimate(samples) };
}

// `trivisor costs measure`: what each kind of exit costs on this host's KVM, from Deno. Loops run in turns; of each the time of
// the loop that does all but the exit is taken off, round by round, so that slow noise cancels out.
import { KVM_EXIT, STRUCT } from "../engine/kvm/abi.ts";
import { hostOf } from "../engine/kvm/host.ts";
import { KvmSystem } from "../engine/kvm/system.ts";
import { STACK_TOP } from "../guest/layout.ts";
import { BareMachine } from "./bare_machine.ts";
import { systemFile } from "./c_library.ts";
import {
  COST_LOOPS,
  COST_MEMORY,
  type CostHost,
  type CostLoop,
  END_PORT,
  HANDLER,
  VECTOR,
} from "./cost_loops.ts";
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
const PILOT = 50;
const FEWEST = 20, MOST = 1_000_000;
/** No round trip to a hypervisor has ever cost less, in cycles: what takes less has not left the guest. */
const LEAST_EXIT = 300;

/** RFLAGS: the bit that is always set. */
const RFLAGS_FIXED = 0x2n;
const RUN = STRUCT.kvm_run.fields;

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
  const machines: BareMachine[] = [];
  try {
    for (const bits of [32, 64] as const) {
      machines.push(new BareMachine(system, { memory: COST_MEMORY, bits }));
    }
    const [kernel, user] = machines;
    if (!kernel || !user) throw new Error("There are two machines");
    const host = { ...costHost(system), cyclesPerNs: kernel.tscKhz / 1e6 };
    kernel.gate(VECTOR, kernel.place(HANDLER));
    const runs = COST_LOOPS.map((loop) =>
      new LoopRun(loop, loop.level === "user" ? user : kernel, host)
    );
    for (const run of runs) {
      onStep?.(run.loop.name);
      run.calibrate(sampleMs ?? DEFAULT_SAMPLE_MS);
    }
    for (let round = 0; round < rounds; round++) for (const run of runs) run.sample();
    const byName = new Map(runs.map((run) => [run.loop.name, run]));
    const results = runs.map((run) => result(run, byName.get(run.loop.less ?? ""), host));
    return { host, results: [...results, kicked(kernel, rounds)] };
  } finally {
    for (const machine of machines) machine.dispose();
    system.close();
  }
}

/** One loop on its machine. */
class LoopRun {
  readonly samples: number[] = [];
  why: string | undefined;
  readonly #at: number;
  #iterations = PILOT;

  constructor(readonly loop: CostLoop, readonly machine: BareMachine, host: CostHost) {
    this.why = loop.avoid?.(host);
    this.#at = this.why ? 0 : machine.place(program(loop));
  }

  /** How many iterations make a sample of about so many milliseconds. */
  calibrate(ms: number): void {
    const { iterations } = this.loop;
    if (iterations !== undefined) this.#iterations = iterations;
    this.sample();
    this.sample();
    const ns = this.samples.splice(0).at(-1);
    if (ns === undefined || iterations !== undefined) return;
    this.#iterations = Math.max(FEWEST, Math.min(MOST, Math.round(ms * 1e6 / ns)));
    this.sample();
    this.samples.length = 0;
  }

  /** Nanoseconds an iteration; once it has gone wrong it is not tried again. */
  sample(): void {
    if (this.why) return;
    const { loop, machine } = this;
    loop.prepare?.(machine);
    machine.start(this.#at, {
      rflags: RFLAGS_FIXED,
      rdi: 0n,
      rsp: BigInt(STACK_TOP),
      ...loop.registers,
      rsi: BigInt(this.#iterations),
    });
    const start = performance.now();
    const end = this.#run();
    const elapsed = performance.now() - start;
    const happened = loop.happened?.(machine) ?? this.#iterations;
    if (end !== undefined) this.why = end;
    else if (happened < this.#iterations) {
      this.why = `of ${this.#iterations} times it came ${happened} times`;
    } else this.samples.push(elapsed * 1e6 / this.#iterations);
  }

  #run(): string | undefined {
    const { machine, loop: { serve } } = this;
    const { page } = machine;
    for (;;) {
      const reason = machine.enter();
      switch (reason) {
        case KVM_EXIT.IO:
          if (page.getUint16(RUN["io.port"], true) === END_PORT) return undefined;
          break;
        case KVM_EXIT.MMIO:
        case KVM_EXIT.HLT:
        case KVM_EXIT.X86_RDMSR:
        case KVM_EXIT.X86_WRMSR:
        case KVM_EXIT.IRQ_WINDOW_OPEN:
          break;
        default:
          return machine.describe(reason);
      }
      serve?.(machine, reason);
    }
  }
}

function program({ body, level }: CostLoop): string {
  const text = level === "kernel" ? body.replaceAll("rdx", "edx") : body;
  return `again:\n${text}\ndec esi\njnz again\nout 0x${END_PORT.toString(16)}, al\n`;
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
  if (ns.low < least) {
    return "too little, or too uncertain, for an exit: KVM leaves it to the guest";
  }
  return undefined;
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

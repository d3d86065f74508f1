// The loops of `cost_loops.ts` on their machines: one machine a privilege level, each loop at a place of its own in it.
import { KVM_EXIT, STRUCT } from "../engine/kvm/abi.ts";
import type { KvmSystem } from "../engine/kvm/system.ts";
import { STACK_TOP } from "../guest/layout.ts";
import { BareMachine } from "./bare_machine.ts";
import {
  COST_LOOPS,
  COST_MEMORY,
  type CostHost,
  type CostLoop,
  END_PORT,
  HANDLER,
  VECTOR,
} from "./cost_loops.ts";

/** Iterations of the first tries, and bounds of what they lead to. */
const PILOT = 50, FEWEST = 20, MOST = 1_000_000;
/** RFLAGS: the bit that is always set, and I/O at every privilege level (IOPL 3). */
const RFLAGS_FIXED = 0x2n, RFLAGS_IOPL3 = 0x3000n;
const RUN = STRUCT.kvm_run.fields;

/** All loops; `dispose` them. */
export class LoopRuns {
  readonly kernel: BareMachine;
  readonly runs: readonly LoopRun[];
  readonly #user: BareMachine;

  constructor(system: KvmSystem, host: CostHost) {
    this.kernel = new BareMachine(system, { memory: COST_MEMORY, bits: 32 });
    this.#user = new BareMachine(system, { memory: COST_MEMORY, bits: 64 });
    this.kernel.gate(VECTOR, this.kernel.place(HANDLER));
    this.runs = COST_LOOPS.map((loop) =>
      new LoopRun(loop, loop.level === "user" ? this.#user : this.kernel, host)
    );
  }

  dispose(): void {
    this.kernel.dispose();
    this.#user.dispose();
  }
}

/** One loop on its machine. */
export class LoopRun {
  readonly samples: number[] = [];
  why: string | undefined;
  readonly #at: number;
  iterations = PILOT;

  constructor(readonly loop: CostLoop, readonly machine: BareMachine, host: CostHost) {
    this.why = loop.avoid?.(host);
    this.#at = this.why ? 0 : machine.place(program(loop));
  }

  /** Goes round so often from now on, and has done so once. */
  fix(iterations: number): void {
    this.iterations = iterations;
    this.sample();
    this.samples.length = 0;
  }

  /** As often as makes a sample of about so many milliseconds, where the loop does not say itself how often. */
  calibrate(ms: number): void {
    const { iterations } = this.loop;
    if (iterations !== undefined) return this.fix(iterations);
    this.fix(PILOT);
    this.sample();
    const ns = this.samples.pop();
    if (ns === undefined) return;
    this.fix(Math.max(FEWEST, Math.min(MOST, Math.round(ms * 1e6 / ns))));
  }

  /** Nanoseconds an iteration; once it has gone wrong it is not tried again. */
  sample(): void {
    if (this.why) return;
    const { loop, machine } = this;
    loop.prepare?.(machine);
    machine.start(this.#at, {
      rflags: loop.level === "user" ? RFLAGS_FIXED | RFLAGS_IOPL3 : RFLAGS_FIXED,
      rdi: 0n,
      rsp: BigInt(STACK_TOP),
      ...loop.registers,
      rsi: BigInt(this.iterations),
    });
    const start = performance.now();
    const end = this.#run();
    const elapsed = performance.now() - start;
    if (loop.happened) machine.fetch();
    const happened = loop.happened?.(machine) ?? this.iterations;
    if (end !== undefined) this.why = end;
    else if (happened < this.iterations) {
      this.why = `of ${this.iterations} times it came ${happened} times`;
    } else this.samples.push(elapsed * 1e6 / this.iterations);
  }

  /** Why it did not come to its end. */
  #run(): string | undefined {
    try {
      return this.#serve();
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #serve(): string | undefined {
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

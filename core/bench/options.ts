// `trivisor costs options`: what it changes whether KVM has the interrupt controller, counts notifications (ioeventfd) and raises
// lines for event counters (irqfd). The same guest loop under each, in turns.
import { KVM_EXIT, STRUCT } from "../engine/kvm/abi.ts";
import { Statistics } from "../engine/kvm/statistics.ts";
import { KvmSystem } from "../engine/kvm/system.ts";
import { STACK_TOP } from "../guest/layout.ts";
import { BareMachine } from "./bare_machine.ts";
import { EventCounter } from "./c_library.ts";
import { costHost } from "./costs.ts";
import { DOORBELL, END_PORT } from "./cost_loops.ts";
import type { IoThreadOrders } from "./io_thread.ts";
import { LINE, OPTION_LOOPS, type OptionLoop, placeOptionLoop } from "./option_loops.ts";
import { type Estimate, estimate, estimateRatio } from "./statistics.ts";

/** What came of one option. */
export interface OptionResult {
  readonly loop: Pick<OptionLoop, "operation" | "option" | "ioeventfd">;
  /** Nanoseconds an operation. */
  readonly ns?: Estimate;
  /** The same over that of the operation's first option. */
  readonly ratio?: Estimate;
  /** Exits to user space an operation. */
  readonly exits?: number;
  /** Exits of the guest an operation, as KVM counts them: coarse. */
  readonly allExits?: number | undefined;
  /** Why there is no figure. */
  readonly not?: string;
}

export interface OptionReport {
  readonly host: ReturnType<typeof costHost>;
  readonly results: readonly OptionResult[];
}

const MEMORY = 2 << 20;
const ITERATIONS = 300;
/** A doorbell is 32 bits wide, as virtio's QueueNotify is, and this value of it counts. */
const DOORBELL_LENGTH = 4, DOORBELL_VALUE = 1n;
/** <linux/kvm.h>: KVM_IOEVENTFD_FLAG_DATAMATCH. */
const FLAG_DATAMATCH = 1;
const RFLAGS_FIXED = 0x2n;
const RUN = STRUCT.kvm_run.fields;

/** Measures all options. Throws `KvmUnavailable` where there is no KVM. */
export async function measureOptions(
  { rounds, iterations = ITERATIONS }: { readonly rounds: number; readonly iterations?: number },
): Promise<OptionReport> {
  const system = KvmSystem.open();
  const runs: OptionRun[] = [];
  try {
    for (const loop of OPTION_LOOPS) {
      const run = new OptionRun(system, loop, iterations);
      runs.push(run);
      await run.begin();
    }
    for (let round = -1; round < rounds; round++) {
      for (const run of runs) run.sample(round >= 0);
    }
    const first = new Map<string, OptionRun>();
    for (const run of runs) {
      if (!first.has(run.loop.operation)) first.set(run.loop.operation, run);
    }
    return {
      host: costHost(system),
      results: runs.map((run) => run.result(first.get(run.loop.operation) ?? run)),
    };
  } finally {
    for (const run of runs) await run.dispose();
    system.close();
  }
}

/** One option on a machine of its own. */
class OptionRun {
  readonly #machine: BareMachine;
  readonly #counters: { readonly doorbell: EventCounter; readonly interrupt: EventCounter };
  readonly #statistics: Statistics;
  readonly #iterations: number;
  readonly #samples: number[] = [];
  #at = 0;
  #exits = 0;
  #allExits = 0;
  #why: string | undefined;
  #thread: { readonly worker: Worker; readonly over: Int32Array<SharedArrayBuffer> } | undefined;

  constructor(system: KvmSystem, readonly loop: OptionLoop, iterations: number) {
    this.#iterations = iterations;
    const { irqchip, thread = false } = loop;
    this.#machine = new BareMachine(system, { memory: MEMORY, bits: 32, irqchip });
    this.#counters = {
      doorbell: new EventCounter({ blocking: thread }),
      interrupt: new EventCounter(),
    };
    this.#statistics = this.#machine.statistics();
  }

  /** What can be refused by the kernel, and the thread. */
  async begin(): Promise<void> {
    const { loop } = this;
    const machine = this.#machine;
    const { doorbell, interrupt } = this.#counters;
    try {
      this.#at = placeOptionLoop(machine, loop);
      if (loop.ioeventfd) {
        machine.ioctl("KVM_IOEVENTFD", STRUCT.kvm_ioeventfd, {
          datamatch: DOORBELL_VALUE,
          addr: BigInt(DOORBELL),
          len: DOORBELL_LENGTH,
          fd: doorbell.fd,
          flags: FLAG_DATAMATCH,
        });
      }
      if (loop.irqfd) {
        machine.ioctl("KVM_IRQFD", STRUCT.kvm_irqfd, { fd: interrupt.fd, gsi: LINE });
      }
      if (loop.thread) this.#thread = await startThread(doorbell.fd, interrupt.fd);
    } catch (error) {
      this.#why = error instanceof Error ? error.message : String(error);
    }
  }

  sample(counts: boolean): void {
    if (this.#why) return;
    const before = this.#statistics.read().exits ?? 0;
    try {
      const start = performance.now();
      const exits = this.#run();
      const elapsed = performance.now() - start;
      if (!counts) return;
      this.#samples.push(elapsed * 1e6 / this.#iterations);
      this.#exits = exits / this.#iterations;
      this.#allExits = ((this.#statistics.read().exits ?? 0) - before) / this.#iterations;
    } catch (error) {
      this.#why = error instanceof Error ? error.message : String(error);
    }
  }

  /** Exits to user space until the loop is over. */
  #run(): number {
    const { loop: { serve, ioeventfd, thread } } = this;
    const machine = this.#machine;
    machine.start(this.#at, {
      rflags: RFLAGS_FIXED,
      rdi: 0n,
      rsp: BigInt(STACK_TOP),
      rsi: BigInt(this.#iterations),
    });
    for (let exits = 0;; exits++) {
      const reason = machine.enter();
      if (reason === KVM_EXIT.IO) {
        if (machine.page.getUint16(RUN["io.port"], true) !== END_PORT) continue;
        const notified = ioeventfd && !thread ? this.#counters.doorbell.take() : this.#iterations;
        if (notified === this.#iterations) return exits;
        throw new Error(`of ${this.#iterations} notifications ${notified} were counted`);
      }
      if (reason !== KVM_EXIT.MMIO && reason !== KVM_EXIT.HLT) {
        throw new Error(machine.describe(reason));
      }
      serve?.(machine, reason, this.#counters);
    }
  }

  result(first: OptionRun): OptionResult {
    const { loop } = this;
    if (this.#why) return { loop, not: this.#why };
    return {
      loop,
      ns: estimate(this.#samples),
      ratio: estimateRatio(this.#samples, first.#samples),
      exits: this.#exits,
      allExits: this.#allExits,
    };
  }

  async dispose(): Promise<void> {
    const { doorbell, interrupt } = this.#counters;
    if (this.#thread) {
      const { worker, over } = this.#thread;
      const ended = new Promise((resolve) => worker.onmessage = resolve);
      Atomics.store(over, 0, 1);
      doorbell.add();
      await ended;
      worker.terminate();
    }
    this.#machine.dispose();
    doorbell.close();
    interrupt.close();
  }
}

async function startThread(doorbell: number, interrupt: number) {
  const worker = new Worker(new URL("./io_thread.ts", import.meta.url), { type: "module" });
  const over = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const orders: IoThreadOrders = { doorbell, interrupt, over };
  const ready = new Promise<void>((resolve, reject) => {
    worker.onmessage = () => resolve();
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
  });
  worker.postMessage(orders);
  await ready;
  return { worker, over };
}

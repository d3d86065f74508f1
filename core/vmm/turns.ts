// The CPUs of one run, taking turns: they share one thread and one clock, as those of a guest share a host with a single
// processor. Time goes by whichever runs. A turn lasts for a fixed number of instructions, unless its CPU idles or pauses,
// so that the same case interleaves in the same way everywhere.
import type { Vcpu, VcpuConfig, VcpuFactory } from "../engine/vcpu.ts";
import type { Monitor } from "./monitor.ts";

/**
 * Instructions in a turn. Long enough for the exchange of two CPUs' state not to count, short enough for one that spins to
 * see what others do before its patience ends.
 */
export const TURN = 10_000;
/** Nanoseconds in a turn on an engine that goes by the host's time: what most schedulers' ticks are. */
export const HOST_TURN = 1_000_000;

/** One CPU of the run. */
export interface Turn {
  readonly vcpu: Vcpu;
  readonly monitor: Monitor;
  /** It waits for an event. */
  idle: boolean;
  /** An interrupt was pending when its turn ended. */
  hadPending: boolean;
}

/** All of them. */
export class Turns {
  readonly all: readonly Turn[];
  readonly first: Turn;
  readonly #turn: number;
  readonly #spent: () => number;
  #at = 0;
  /** What was spent in all when the turn began. */
  #begun = 0;
  #over = false;
  /** Has the CPU whose turn it is been interrupted while others ran? */
  interrupted = false;

  /** `monitor` is the first CPU's. Throws when the engine or the back end has only one. */
  constructor(
    engine: VcpuFactory,
    monitor: Monitor,
    config: (monitor: Monitor) => VcpuConfig,
    { cpus: count, turn, time }: {
      readonly cpus: number;
      readonly turn: number;
      /** Turns are of time (nanoseconds), and not of instructions. */
      readonly time?: () => number;
    },
  ) {
    this.#turn = turn;
    this.#spent = time ?? (() => this.retired);
    const monitors = [monitor];
    for (let cpu = 1; cpu < count; cpu++) {
      const other = monitor.another?.(cpu);
      if (!other) throw new Error("The back end has one CPU");
      monitors.push(other);
    }
    const configs = monitors.map(config);
    const vcpus = count > 1 ? engine.createAll?.(configs) : configs.map((c) => engine.create(c));
    if (!vcpus) throw new Error("The engine has one CPU");
    // All but the first wait to be started.
    this.all = monitors.flatMap((own, n) => {
      const vcpu = vcpus[n];
      return vcpu ? [{ vcpu, monitor: own, idle: n > 0, hadPending: false }] : [];
    });
    const [first] = this.all;
    if (!first) throw new Error("A machine has at least one CPU");
    this.first = first;
  }

  /** Guest instructions of all CPUs. */
  get retired(): number {
    if (this.all.length === 1) return this.first.vcpu.retired;
    let sum = 0;
    for (const { vcpu } of this.all) sum += vcpu.retired;
    return sum;
  }

  /** The CPU whose turn it is. */
  get running(): Turn {
    return this.all[this.#at] ?? this.first;
  }
  /** Its number; undefined where there is only one. */
  get current(): number | undefined {
    return this.all.length > 1 ? this.#at : undefined;
  }

  /** How many more instructions, or nanoseconds, its turn has. */
  get turn(): number {
    return this.all.length > 1 ? Math.max(1, this.#begun + this.#turn - this.#spent()) : Infinity;
  }

  endTurn(): void {
    this.#over = true;
  }

  /** Whose turn it is now. In the middle of an instruction nobody else's. */
  next(): Turn {
    this.interrupted = false;
    const { running } = this;
    if (this.all.length === 1 || running.vcpu.midway) return running;
    if (!running.idle && !this.#over && this.#spent() - this.#begun < this.#turn) return running;
    running.hadPending = running.monitor.wakeable();
    for (let step = 1; step <= this.all.length; step++) {
      const at = (this.#at + step) % this.all.length;
      const turn = this.all[at];
      if (!turn || turn.idle && !turn.monitor.wakeable()) continue;
      // Whoever idles is not in its guest, and not taken from it.
      this.interrupted = !turn.idle && at !== this.#at && !turn.hadPending &&
        turn.monitor.wakeable();
      turn.idle = false;
      this.#at = at;
      break;
    }
    this.#begun = this.#spent();
    this.#over = false;
    return this.running;
  }

  /** Is there a CPU that goes on, or is woken now? */
  awaken(): boolean {
    const [only] = this.all;
    if (this.all.length > 1) {
      return this.all.some(({ idle, monitor }) => !idle || monitor.wakeable());
    }
    if (only?.monitor.wakeable()) only.idle = false;
    return only?.idle === false;
  }

  /** Can no alarm wake any of them? */
  get deaf(): boolean {
    return this.all.every(({ monitor }) => monitor.deaf?.() ?? false);
  }

  /** Sensitive operations that translated code did without leaving, by name, on all CPUs. */
  inlined(): Record<string, number> {
    if (this.all.length === 1) return this.first.vcpu.inlined();
    const sum: Record<string, number> = {};
    for (const { vcpu } of this.all) {
      for (const [name, times] of Object.entries(vcpu.inlined())) {
        sum[name] = (sum[name] ?? 0) + times;
      }
    }
    return sum;
  }
}

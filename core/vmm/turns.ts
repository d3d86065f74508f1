// The CPUs of one run, taking turns: they share one thread and one clock, as those of a guest share a host with a single
// processor. Time goes by whichever runs. A turn lasts for a fixed number of instructions, unless its CPU idles or pauses,
// so that the same case interleaves in the same way everywhere.
import type { Stop } from "../engine/vcpu.ts";
import { type Cpu, type Cpus, inlinedBy } from "./cpus.ts";

/**
 * Instructions in a turn. Long enough for the exchange of two CPUs' state not to count, short enough for one that spins to
 * see what others do before its patience ends.
 */
export const TURN = 10_000;

/** All of them. */
export class Turns implements Cpus {
  readonly all: readonly Cpu[];
  readonly first: Cpu;
  readonly #turn: number;
  #at = 0;
  /** What was spent in all when the turn began. */
  #begun = 0;
  #over = false;
  /** Those for which an interrupt was pending when their turn ended. */
  readonly #hadPending = new Set<Cpu>();
  /** Has the CPU whose turn it is been interrupted while others ran? */
  interrupted = false;

  /** `turn`: how many instructions one has. */
  constructor(all: readonly Cpu[], turn: number) {
    const [first] = all;
    if (!first) throw new Error("A machine has at least one CPU");
    this.#turn = turn;
    this.all = all;
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
  get running(): Cpu {
    return this.all[this.#at] ?? this.first;
  }
  /** Its number; undefined where there is only one. */
  get current(): number | undefined {
    return this.all.length > 1 ? this.#at : undefined;
  }

  run(budget: number, nanoseconds?: number): Stop {
    const { vcpu } = this.running;
    if (this.all.length === 1) return vcpu.run(budget, nanoseconds);
    const left = Math.max(1, this.#begun + this.#turn - this.retired);
    return vcpu.run(Math.min(budget, left), nanoseconds);
  }

  endTurn(): void {
    this.#over = true;
  }

  /** Whose turn it is now. In the middle of an instruction nobody else's. */
  next(): Cpu {
    this.interrupted = false;
    const { running } = this;
    if (this.all.length === 1 || running.vcpu.midway) return running;
    if (!running.idle && !this.#over && this.retired - this.#begun < this.#turn) return running;
    if (running.monitor.wakeable()) this.#hadPending.add(running);
    else this.#hadPending.delete(running);
    for (let step = 1; step <= this.all.length; step++) {
      const at = (this.#at + step) % this.all.length;
      const turn = this.all[at];
      if (!turn || turn.idle && !turn.monitor.wakeable()) continue;
      // Whoever idles is not in its guest, and not taken from it.
      this.interrupted = !turn.idle && at !== this.#at && !this.#hadPending.has(turn) &&
        turn.monitor.wakeable();
      turn.idle = false;
      this.#at = at;
      break;
    }
    this.#begun = this.retired;
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
    return inlinedBy(this.all);
  }

  /** They are in no guest between two turns. */
  halt(): void {}
}

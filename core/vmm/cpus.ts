// The CPUs of one run as the runner sees them: whose exit is handled now, and who goes on next. How they share the host is
// behind this: in turns (turns.ts), or side by side (side_by_side.ts).
import type { Stop, Vcpu } from "../engine/vcpu.ts";
import type { Monitor } from "./monitor.ts";

/** One CPU of the run. */
export interface Cpu {
  readonly vcpu: Vcpu;
  readonly monitor: Monitor;
  /** It waits for an event. */
  idle: boolean;
}

/** All of them. */
export interface Cpus {
  readonly all: readonly Cpu[];
  readonly first: Cpu;
  /** The CPU whose exit or entry is handled. */
  readonly running: Cpu;
  /** Its number; undefined where there is only one. */
  readonly current: number | undefined;
  /** Has something that came meanwhile taken the CPU that `next` told from its guest? */
  readonly interrupted: boolean;
  /** Guest instructions of all CPUs. */
  readonly retired: number;
  /** Can no alarm wake any of them? To be asked while all idle. */
  readonly deaf: boolean;

  /** The CPU that goes on; undefined: there is nobody who does not already. */
  next(): Cpu | undefined;
  /**
   * Lets it, as `Vcpu.run` does, until a CPU has stopped for which there is something to do: that is the `running` one then.
   * Undefined: nobody has by now.
   */
  run(budget: number, nanoseconds?: number): Stop | undefined;
  /** The running one has nothing to do before others have gone on. */
  endTurn(): void;
  /** Is there a CPU that goes on, or is woken now? */
  awaken(): boolean;
  /** Sensitive operations that translated code did without leaving, by name, on all CPUs. */
  inlined(): Record<string, number>;
  /** Takes all from their guest: this was all. */
  halt(): void;
}

/** Of all CPUs, by name. */
export function inlinedBy(all: readonly Cpu[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { vcpu } of all) {
    for (const [name, times] of Object.entries(vcpu.inlined())) {
      sum[name] = (sum[name] ?? 0) + times;
    }
  }
  return sum;
}

// `trivisor costs statistics`: which of KVM's own counters move when a guest leaves in a certain way, on this host.
import { KvmSystem } from "../engine/kvm/system.ts";
import type { CostLoop } from "./cost_loops.ts";
import { costHost } from "./costs.ts";
import { LoopRuns } from "./loop_runs.ts";

/** The counters of one loop. */
export interface LoopStatistics {
  readonly loop: CostLoop;
  /** By name: how much each moved, an iteration; those that hardly moved are left out. */
  readonly moved: Readonly<Record<string, number>>;
  /** Why there are none. */
  readonly not?: string;
}

export interface StatisticsReport {
  readonly host: ReturnType<typeof costHost>;
  readonly results: readonly LoopStatistics[];
}

/** What moves less often than that comes of something else. */
const LEAST = 0.1;
const ITERATIONS = 200;
/** Counters of time, and of what KVM does beside the guest's exits. */
const NOT_EVENTS = /_ns$|_hist$|poll|blocking|guest_mode|preemption/;

/** Counts. Throws `KvmUnavailable` where there is no KVM. */
export function countStatistics(): StatisticsReport {
  const system = KvmSystem.open();
  const host = costHost(system);
  const loops = new LoopRuns(system, host);
  try {
    const results = loops.runs.map((run): LoopStatistics => {
      const { loop, machine } = run;
      run.fix(loop.iterations ?? ITERATIONS);
      const before = machine.statistics().read();
      run.sample();
      const after = machine.statistics().read();
      if (run.why) return { loop, moved: {}, not: run.why };
      const moved: Record<string, number> = {};
      for (const [name, value] of Object.entries(after)) {
        const each = (value - (before[name] ?? 0)) / run.iterations;
        if (each >= LEAST && !NOT_EVENTS.test(name)) moved[name] = each;
      }
      return { loop, moved };
    });
    return { host, results };
  } finally {
    loops.dispose();
    system.close();
  }
}

// The trace of a run whose thread did not come back: what it saw is lost with it.
import type { FinalState, Trace } from "../../trace/trace.ts";
import { Recorder } from "../../trace/recorder.ts";
import { cyclesOf } from "../../vmm/cost_model.ts";
import type { Job } from "../../vmm/subject.ts";

export function stoppedTrace({ group, profile }: Omit<Job, "abort">): Trace {
  const recorder = new Recorder(() => 0);
  const final: FinalState = { registers: {}, memory: {}, disks: [] };
  const { counts, events, dropped } = recorder;
  return {
    events,
    dropped,
    counts,
    cycles: cyclesOf({ ...counts, exits: counts.ways }, profile),
    console: recorder.consoleBytes(),
    end: { kind: "limit", limit: "time" },
    final,
    wallNs: group.limits.wallMs * 1e6,
    unobserved: [
      ...["instructions", "exits", "accesses", "injections"] as const,
      ...["console", "registers", "memory", "disks"] as const,
    ],
  };
}

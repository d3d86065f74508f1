// Makes the CPUs of one run, each with its monitor, as the engine lets them share the host.
import type { Vcpu, VcpuConfig, VcpuFactory } from "../engine/vcpu.ts";
import type { Cpu, Cpus } from "./cpus.ts";
import type { Monitor } from "./monitor.ts";
import { SideBySideCpus } from "./side_by_side.ts";
import { Turns } from "./turns.ts";

export interface CpuOptions {
  readonly cpus: number;
  /** Instructions in a turn, where they take turns. */
  readonly turn: number;
}

/** `monitor` is the first CPU's. Throws when the engine or the back end has only one. */
export function makeCpus(
  engine: VcpuFactory,
  monitor: Monitor,
  config: (monitor: Monitor) => VcpuConfig,
  { cpus: count, turn }: CpuOptions,
): Cpus {
  const monitors = [monitor];
  for (let cpu = 1; cpu < count; cpu++) {
    const other = monitor.another?.(cpu);
    if (!other) throw new Error("The back end has one CPU");
    monitors.push(other);
  }
  const configs = monitors.map(config);
  if (count > 1 && engine.createSideBySide) {
    const crew = engine.createSideBySide(configs);
    return new SideBySideCpus(crew, manned(crew.vcpus, monitors));
  }
  const vcpus = count > 1 ? engine.createAll?.(configs) : configs.map((c) => engine.create(c));
  if (!vcpus) throw new Error("The engine has one CPU");
  return new Turns(manned(vcpus, monitors), turn);
}

/** All but the first wait to be started. */
function manned(vcpus: readonly Vcpu[], monitors: readonly Monitor[]): Cpu[] {
  return monitors.flatMap((monitor, n) => {
    const vcpu = vcpus[n];
    return vcpu ? [{ vcpu, monitor, idle: n > 0 }] : [];
  });
}

// Makes deprivileged CPUs out of an engine's ordinary ones, where a monitor asks for them.
import { PAGE_SIZE } from "../../base/address.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { EXIT_FIELDS } from "../../scenario/vocabulary.ts";
import type { ExitKind } from "../../trace/exit.ts";
import type { Capabilities, ExecutionControls, Vcpu, VcpuConfig, VcpuFactory } from "../vcpu.ts";
import type { HypercallGate, SystemCalls } from "./gate.ts";
import { SHIM_SIZE } from "./shim.ts";
import { DeprivilegedVcpu } from "./vcpu.ts";

/** How a machine runs that has the shim in it: what exits by itself is ports and VMCALL, and whatever else makes the VMM stop. */
const TREATMENTS = treatments("bare", { "port-io": "vm-exit", vmcall: "vm-exit" });
const MACHINE: ExecutionControls = {
  kernel: TREATMENTS,
  user: TREATMENTS,
  exceptionVia: "vm-exit",
  exceptions: 0,
  paging: "nested",
};

/** How the guest gets to its VMM on purpose. */
export interface Gates {
  /** Absent: SYSCALL. */
  readonly gate?: HypercallGate;
  /** Absent: refused. */
  readonly systemCalls?: SystemCalls;
}

/** Does the monitor run its guest at CPL 3, its kernel too? */
export function isDeprivileged({ kernel, paging }: ExecutionControls): boolean {
  return paging === "direct" && kernel.syscall === "hypercall";
}

/** All that there is comes to the VMM, except VMCALL where the machine's engine has it answered below. */
function capabilitiesOn(
  { exitKinds, ...machine }: Capabilities,
  refusesHypercalls: boolean,
): Capabilities {
  if (!exitKinds || exitKinds.includes("vmcall") || refusesHypercalls) return machine;
  const all = Object.keys(EXIT_FIELDS) as ExitKind[];
  return { ...machine, exitKinds: all.filter((kind) => kind !== "vmcall") };
}

/**
 * An engine for monitors of deprivileged guests, from one that has only ordinary guests. `refusesHypercalls`: CPL 3 gets a fault for
 * VMCALL there.
 */
export function deprivileged(
  engine: VcpuFactory,
  options: Gates = {},
  refusesHypercalls = () => false,
): VcpuFactory {
  const { gate = "syscall", systemCalls = "refused" } = options;
  const create = (config: VcpuConfig): Vcpu => {
    const { controls } = config;
    if (!isDeprivileged(controls)) throw new Error("The monitor's guest is not deprivileged");
    const memory = Math.ceil(config.memory / PAGE_SIZE) * PAGE_SIZE;
    const machine = engine.create({
      ...config,
      memory: memory + SHIM_SIZE,
      controls: MACHINE,
      // What the shim and its stack cost is not the guest's.
      count: () => {},
    });
    return new DeprivilegedVcpu(machine, {
      memory,
      controls,
      capabilities: capabilitiesOn(machine.capabilities, refusesHypercalls()),
      gate,
      systemCalls,
      countsInstructions: !engine.hostTime,
    });
  };
  // A domain has one CPU.
  const { createAll: _, ...rest } = engine;
  return { ...rest, create };
}

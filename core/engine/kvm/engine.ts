// KVM as an engine: real hardware's virtualization, behind the same contract as the embedded CPU.
import type { Vcpu, VcpuConfig, VcpuFactory } from "../vcpu.ts";
import { deprivileged, type Gates, isDeprivileged } from "../deprivileged/engine.ts";
import { KernelDoorbells } from "./doorbells.ts";
import type { Holdings } from "./holdings.ts";
import { KvmMachine } from "./machine.ts";
import { KvmSystem } from "./system.ts";
import { KvmVcpu } from "./vcpu.ts";

let system: KvmSystem | undefined;

/**
 * /dev/kvm, opened once a thread. Throws `KvmUnavailable`, whose message says why. `holdings` is for who opens it: what the thread
 * holds is written down there.
 */
export function kvmSystem(holdings?: Holdings): KvmSystem {
  return system ??= KvmSystem.open(holdings);
}

/** Closes it; it is opened again when it is needed. */
export function closeKvm(): void {
  system?.close();
  system = undefined;
}

/** What of KVM's is used. */
export interface KvmOptions {
  /** The kernel counts what rings devices' doorbells, and the guest runs on. */
  readonly ioeventfd?: boolean;
}

function createAll(
  configs: readonly VcpuConfig[],
  { ioeventfd }: KvmOptions,
): readonly Vcpu[] {
  const [first] = configs;
  if (!first) return [];
  if (first.bus) throw new Error("KVM has no guest that reaches devices without an exit");
  const machine = new KvmMachine(kvmSystem(), first.memory, first.rom);
  try {
    const { doorbells } = first;
    if (ioeventfd && doorbells) machine.doorbells = new KernelDoorbells(machine, doorbells);
    return configs.map((config) => new KvmVcpu(machine, config));
  } catch (error) {
    machine.dispose();
    throw error;
  }
}

/** Of guests with all rings to themselves. */
function ordinaryWith(options: KvmOptions) {
  return {
    hostTime: true,
    hostRate: () => kvmSystem().rate,
    create: (config) => {
      const [vcpu] = createAll([config], options);
      if (!vcpu) throw new Error("A machine has at least one CPU");
      return vcpu;
    },
    createAll: (configs) => createAll(configs, options),
  } as const satisfies VcpuFactory;
}

/**
 * Makes virtual CPUs of KVM's. They, and all they are asked, belong to the thread that made them. `gates` are those of guests
 * that run deprivileged.
 */
export function kvmWith(gates: Gates, options: KvmOptions = {}): VcpuFactory {
  const ordinary = ordinaryWith(options);
  const shimmed = deprivileged(ordinary, gates, () => kvmSystem().pvm);
  return {
    ...ordinary,
    create: (config) => (isDeprivileged(config.controls) ? shimmed : ordinary).create(config),
    createAll: (configs) => {
      const [first] = configs;
      return first && isDeprivileged(first.controls)
        ? configs.map((config) => shimmed.create(config))
        : ordinary.createAll(configs);
    },
  };
}

/** The same, with the gates that every host has. */
export const kvm: VcpuFactory = kvmWith({});

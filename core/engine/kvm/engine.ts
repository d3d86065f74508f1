// KVM as an engine: real hardware's virtualization, behind the same contract as the embedded CPU.
import { EngineFailure, SubjectLacks } from "../lacks.ts";
import type { VcpuConfig, VcpuFactory } from "../vcpu.ts";
import { deprivileged, type Gates, isDeprivileged } from "../deprivileged/engine.ts";
import { Crew } from "./crew.ts";
import { KernelDoorbells } from "./doorbells.ts";
import { HaltingVcpu } from "./halting_vcpu.ts";
import type { Holdings } from "./holdings.ts";
import { requireIrqchip } from "./irqchip.ts";
import { KvmMachine } from "./machine.ts";
import type { Orders } from "./orders.ts";
import { KvmSystem } from "./system.ts";
import { Threads } from "./threads.ts";
import { KvmVcpu } from "./vcpu.ts";

let system: KvmSystem | undefined;
/** This thread's own, where nobody has given it any. */
let threads: Threads | undefined;
/** Milliseconds that threads may take to start: where Deno checks types, on a busy machine, that is long. */
const START_MS = 60_000;

/**
 * /dev/kvm, opened once a thread. Throws `KvmUnavailable`, whose message says why. `holdings` is for who opens it: what the thread
 * holds is written down there.
 */
export function kvmSystem(holdings?: Holdings): KvmSystem {
  return system ??= KvmSystem.open(holdings);
}

/** Closes it; it is opened again when it is needed. */
export function closeKvm(): void {
  threads?.end();
  threads = undefined;
  system?.close();
  system = undefined;
}

/** What of KVM's is used. */
export interface KvmOptions {
  /** The kernel counts what rings devices' doorbells, and the guest runs on. */
  readonly ioeventfd?: boolean;
  /** Who has PIC, I/O APIC and local APICs; `user`, the default: the board. */
  readonly irqchip?: "kernel" | "user";
  /** With those of the kernel: devices' lines are raised by event counters. */
  readonly irqfd?: boolean;
}

/** A machine, and on it what `make` makes of it. */
function onMachine<T>(
  first: VcpuConfig,
  { ioeventfd, irqchip, irqfd = false }: KvmOptions,
  make: (machine: KvmMachine) => T,
): T {
  if (first.bus) throw new Error("KVM has no guest that reaches devices without an exit");
  const system = kvmSystem();
  if (irqchip === "kernel") requireIrqchip(system, irqfd);
  const { memory: size, rom, doorbells, ownLocalApic: localApics = false } = first;
  const machine = new KvmMachine(system, {
    size,
    rom,
    controllers: irqchip === "kernel" ? { localApics, irqfd } : undefined,
  });
  try {
    if (ioeventfd && doorbells) machine.doorbells = new KernelDoorbells(machine, doorbells);
    return make(machine);
  } catch (error) {
    machine.dispose();
    throw error;
  }
}

/** Threads for so many CPUs, made now if there are none. */
function ordersFor(count: number): Orders {
  threads ??= new Threads();
  threads.grow(count);
  return threads.orders;
}

/** Of guests with all rings to themselves; `given`: threads for CPUs that somebody else has made. */
function ordinaryWith(options: KvmOptions, given?: Orders) {
  return {
    hostTime: true,
    hostRate: () => kvmSystem().rate,
    create: (config) =>
      onMachine(
        config,
        options,
        (machine) =>
          machine.controllers
            ? new HaltingVcpu(machine, config, machine.controllers)
            : new KvmVcpu(machine, config),
      ),
    createSideBySide: (configs) => {
      const [first] = configs;
      if (!first) throw new Error("A machine has at least one CPU");
      if (options.irqchip === "kernel") {
        // A halt for good is one of all CPUs then, which nobody here finds out yet.
        throw new SubjectLacks("irqchip=kernel is for guests with one CPU so far");
      }
      const orders = given ?? ordersFor(configs.length);
      if (!orders.listening(configs.length, START_MS)) {
        throw new EngineFailure("The threads of CPUs do not start");
      }
      return onMachine(first, options, (machine) => new Crew(machine, configs, orders));
    },
    ...(options.irqchip === "kernel" ? { ownControllers: true } : {}),
  } as const satisfies VcpuFactory;
}

/**
 * Makes virtual CPUs of KVM's. They, and all they are asked, belong to the thread that made them. `gates` are those of guests
 * that run deprivileged; `orders` go to threads for CPUs that somebody else has made: absent, they are made when they are needed
 * (where this thread is a worker, Deno 2.9 takes a second for that).
 */
export function kvmWith(gates: Gates, options: KvmOptions = {}, orders?: Orders): VcpuFactory {
  const ordinary = ordinaryWith(options, orders);
  // Interrupts of deprivileged guests are their monitor's.
  const shimmed = deprivileged(ordinaryWith({}, orders), gates, () => kvmSystem().pvm);
  return {
    ...ordinary,
    create: (config) => (isDeprivileged(config.controls) ? shimmed : ordinary).create(config),
  };
}

/** The same, with the gates that every host has. */
export const kvm: VcpuFactory = kvmWith({});

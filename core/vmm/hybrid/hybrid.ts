// `hybrid`: hardware assistance for the CPU and its memory, paravirtualization for devices, interrupts and time. It does
// what `full-hw` does, and has beside the PC's devices virtio over MMIO, a local APIC, and KVM's own features.
import { VECTOR } from "../../base/registers.ts";
import type { Doorbells, Vcpu } from "../../engine/vcpu.ts";
import { attachVirtio, type PcBoard } from "../../machine/board.ts";
import type { Lapic } from "../../machine/devices/lapic.ts";
import type { Exit } from "../../trace/exit.ts";
import { boardOf } from "../board_of.ts";
import { BACKEND_DESCRIPTIONS } from "../descriptions.ts";
import { emulated, type ExitHandlers, injectException, msrRead } from "../exit_handlers.ts";
import { HARDWARE_HANDLERS, NESTED_CONTROLS } from "../full_hw.ts";
import {
  type BackendDefinition,
  type Monitor,
  type Outcome,
  RESUME,
  type Setup,
} from "../monitor.ts";
import { PcMonitor, type PcMonitorOptions } from "../pc_monitor.ts";
import { LowerApics, MonitoredApic, MSR_TSC_DEADLINE } from "./apic.ts";
import { handleHypercall, type HypercallTarget } from "./hypercalls.ts";
import { kvmCpuid } from "./kvm_cpuid.ts";
import { KvmMsrs } from "./kvm_msrs.ts";
import { PvEoi } from "./pv_eoi.ts";

/** What the platform has beyond a PC, for one CPU. */
interface Platform {
  /** What its hypercalls reach. */
  readonly others: HypercallTarget;
  readonly msrs: KvmMsrs;
  /** Absent: its local APIC is the engine's, which has deadlines and ends of interrupts to itself. */
  readonly own?: {
    readonly lapic: Lapic;
    readonly apic: MonitoredApic;
    readonly eoi: PvEoi;
  };
}

/** And for all of them. */
interface HybridBoard {
  readonly board: PcBoard;
  readonly platforms: readonly Platform[];
  /** Where the local APICs are the engine's. */
  readonly lower: LowerApics;
  readonly doorbells: Doorbells;
}

function hybridBoard(setup: Setup): HybridBoard {
  const { bus, clock, recorder, memory, console, disks } = setup;
  const board = boardOf(setup, { lapic: true });
  const virtio = attachVirtio({
    bus,
    memory,
    console,
    disks,
    line: board.line,
    observe: (access) => recorder.access(access),
  });
  const apics: MonitoredApic[] = [];
  const lower = new LowerApics();
  const platforms = board.cpus.map(({ lapic }): Platform => {
    if (!lapic) return { others: lower, msrs: new KvmMsrs(memory, clock) };
    const apic = new MonitoredApic(lapic, apics);
    const eoi = new PvEoi(memory, apic);
    return { others: apic, msrs: new KvmMsrs(memory, clock, eoi), own: { lapic, apic, eoi } };
  });
  const doorbells: Doorbells = {
    registers: virtio.doorbells,
    ring: (gpa, value) => bus.write("memory", gpa, 4, value),
  };
  return { board, platforms, lower, doorbells };
}

/** What is handled otherwise than on `full-hw`. */
function handlers({ others, own, msrs }: Platform): ExitHandlers {
  const readMsr = (msr: number): bigint | undefined => {
    if (own && msr === MSR_TSC_DEADLINE) return own.lapic.timer.deadline;
    return msrs.has(msr) ? msrs.read(msr) : undefined;
  };
  const writeMsr = (msr: number, value: bigint): "done" | "refused" | "not ours" => {
    if (own && msr === MSR_TSC_DEADLINE) {
      own.lapic.timer.deadline = value;
      return "done";
    }
    if (!msrs.has(msr)) return "not ours";
    return msrs.write(msr, value) ? "done" : "refused";
  };
  return {
    "vmcall": (_exit, { vcpu }) => {
      handleHypercall(vcpu, others);
      return RESUME;
    },
    "msr-read": (exit, machine) => {
      const value = readMsr(exit.detail.msr);
      if (value === undefined) return msrRead(exit, machine);
      exit.detail.value = value;
      machine.vcpu.set("rax", value & 0xffffffffn);
      machine.vcpu.set("rdx", value >> 32n);
      machine.vcpu.skip();
      return RESUME;
    },
    "msr-write": (exit, machine) => {
      switch (writeMsr(exit.detail.msr, exit.detail.value)) {
        case "done":
          machine.vcpu.skip();
          return RESUME;
        case "refused":
          return injectException(machine, { type: "exception", vector: VECTOR.GP, errorCode: 0 });
        case "not ours":
          return emulated(exit, machine);
      }
    },
  };
}

class HybridMonitor extends PcMonitor {
  readonly doorbells: Doorbells;
  readonly #setup: Setup;
  readonly #machine: HybridBoard;
  readonly #platform: Platform;

  constructor(setup: Setup, machine = hybridBoard(setup), number = 0) {
    const own = machine.platforms[number];
    if (!own) throw new RangeError(`There is no CPU ${number}`);
    const options: PcMonitorOptions = {
      controls: NESTED_CONTROLS,
      handlers: { ...HARDWARE_HANDLERS, ...handlers(own) },
      preempts: "vm-exit",
      cpuid: kvmCpuid,
    };
    super(setup, options, machine.board, number);
    this.#setup = setup;
    this.#machine = machine;
    this.doorbells = machine.doorbells;
    this.#platform = own;
  }

  override another(cpu: number): Monitor {
    return new HybridMonitor(this.#setup, this.#machine, cpu);
  }

  override start(vcpu: Vcpu): void {
    super.start(vcpu);
    this.#machine.lower.join(vcpu);
  }

  override handle(exit: Exit): Outcome {
    this.#fromGuest();
    return super.handle(exit);
  }

  override beforeEntry(): Outcome {
    this.#fromGuest();
    const outcome = super.beforeEntry();
    const { own } = this.#platform;
    if (own) {
      own.apic.kicked = false;
      own.eoi.toGuest();
    }
    return outcome;
  }

  /** Once something else waits, the guest must not end the one in service without being seen. */
  override summons(): boolean {
    const { own } = this.#platform;
    return super.summons() || own !== undefined && own.eoi.offered && own.apic.isAsked;
  }

  /** Another CPU's hypercall ends a halt whatever is masked. */
  override wakeable(): boolean {
    return this.#platform.own?.apic.kicked || super.wakeable();
  }

  /** What the guest did without leaving: ended its interrupt. */
  #fromGuest(): void {
    this.#platform.own?.eoi.fromGuest();
  }
}

/** The back end. */
export const hybrid: BackendDefinition = {
  ...BACKEND_DESCRIPTIONS.hybrid,
  create: (setup) => new HybridMonitor(setup),
};

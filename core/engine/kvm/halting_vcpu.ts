// A virtual CPU whose interrupt controllers are KVM's: interrupts come and halts end without its VMM.
import { RFLAGS } from "../../base/registers.ts";
import { APIC_BASE } from "../../machine/devices/lapic_registers.ts";
import type { LowerHalts, Stop, VcpuConfig } from "../vcpu.ts";
import { BUDGET } from "./exits.ts";
import { type HaltingCpu, Halts } from "./halts.ts";
import type { KernelControllers } from "./irqchip.ts";
import type { KvmMachine } from "./machine.ts";
import { KvmVcpu } from "./vcpu.ts";

const IDLE: Stop = { reason: "idle" };

export class HaltingVcpu extends KvmVcpu {
  readonly lower: { readonly interrupts: KernelControllers; readonly halts: LowerHalts };
  readonly #halts: Halts;

  constructor(machine: KvmMachine, config: VcpuConfig, interrupts: KernelControllers) {
    super(machine, config);
    const cpu: HaltingCpu = {
      libc: this.libc,
      fd: this.fd,
      interruptsEnabled: () => (this.get("rflags") & BigInt(RFLAGS.IF)) !== 0n,
      getMsr: (msr) => this.getMsr(msr),
      touch: () => this.#touch(),
    };
    this.#halts = new Halts(cpu, interrupts);
    this.lower = { interrupts, halts: this.#halts };
    this.settings.enforcePvFeatures();
    // Switched off, it is as if it were not there, and the PIC's interrupts reach the CPU by themselves (SDM vol. 3, 11.4.3).
    if (!config.ownLocalApic) this.file.apicBase &= ~BigInt(APIC_BASE.enabled);
  }

  override run(budget: number, nanoseconds?: number): Stop {
    const stop = super.run(budget, this.#halts.until(nanoseconds));
    if (stop !== BUDGET) {
      this.#halts.left();
      return stop;
    }
    return this.#halts.look() ? IDLE : BUDGET;
  }

  /** With a signal in wait, KVM_RUN is over before the guest runs, but not before a halted CPU has seen what wakes it. */
  #touch(): void {
    const { interrupter } = this.machine;
    interrupter.raise();
    this.exited = this.enter() === 0;
    interrupter.taken();
  }
}

// A virtual CPU of KVM's behind the engines' contract: its run loop, events on their way in, and what there is to control.
import { RFLAGS } from "../../base/registers.ts";
import type { ExitKind } from "../../trace/exit.ts";
import { EngineFailure, SubjectLacks } from "../lacks.ts";
import type { Capabilities, Event, ExecutionControls, Stop, Vcpu, VcpuConfig } from "../vcpu.ts";
import { KVM_SYNC_X86, KVM_VCPUEVENT_VALID, STRUCT } from "./abi.ts";
import { BUDGET, ExitingCpu, GENERAL_PROTECTION } from "./exits.ts";
import { initialState } from "./initial_state.ts";
import { EINTR } from "./libc.ts";
import { DOORBELL_SLICE } from "./doorbells.ts";
import type { KvmMachine } from "./machine.ts";
import { HYPERCALL_GAP, isHypercall } from "./pvm.ts";

const EXIT_KINDS: readonly ExitKind[] = [
  "io",
  "ept-violation",
  "hlt",
  "interrupt-window",
  "triple-fault",
];
const CAPABILITIES: Capabilities = {
  exits: "exact",
  // MSR accesses are not among them: the kernel does most by itself.
  exitKinds: EXIT_KINDS,
  deterministic: false,
  singleStep: false,
  controls: false,
};
const SHOWING_HYPERCALLS: Capabilities = { ...CAPABILITIES, exitKinds: [...EXIT_KINDS, "vmcall"] };

const RUN = STRUCT.kvm_run.fields;

const THEIRS: readonly ExitKind[] = ["hlt", "interrupt-window"];

/** What comes to the VMM and what does not, with what the kernel does for this machine. */
function capabilitiesOf({ system, doorbells, controllers }: KvmMachine): Capabilities {
  const all = system.showsHypercalls ? SHOWING_HYPERCALLS : CAPABILITIES;
  if (!doorbells && !controllers) return all;
  const { devices, injections } = controllers?.hidden ?? { devices: [], injections: [] };
  return {
    ...all,
    // Halts and interrupts are the kernel's; with doorbells, not every write to device memory comes to the VMM any more.
    exitKinds: (all.exitKinds ?? EXIT_KINDS).filter((kind) =>
      !(controllers && THEIRS.includes(kind)) && !(doorbells && kind === "ept-violation")
    ),
    hidden: { devices, injections, accesses: doorbells ? ["queue-notify"] : [] },
  };
}

export class KvmVcpu extends ExitingCpu implements Vcpu {
  readonly capabilities: Capabilities;
  readonly retired = 0;

  constructor(machine: KvmMachine, config: VcpuConfig) {
    super(machine, config);
    this.capabilities = capabilitiesOf(machine);
    this.setControls(config.controls);
    this.init();
  }

  inlined(): Record<string, number> {
    return {};
  }

  /** KVM does not tell of x87 errors without CR0.NE: a gap of every host (host.ts). */
  watchFloatErrors(): void {}

  run(_budget: number, nanoseconds?: number): Stop {
    const found = this.begin();
    if (found) return found;
    const { doorbells, interrupter } = this.machine;
    if (doorbells) interrupter.grant(Math.min(nanoseconds ?? Infinity, DOORBELL_SLICE));
    else if (nanoseconds !== undefined) interrupter.grant(nanoseconds);
    const errno = this.enter();
    doorbells?.collect();
    if (errno === EINTR) interrupter.taken();
    return this.cameBack(errno);
  }

  /** All that comes before KVM_RUN; why it stops without having run, if it does. */
  protected begin(): Stop | undefined {
    const { localApic } = this.config;
    const open = this.handed;
    if (open) {
      if (open.element < open.elements) return this.element(open);
      // Not skipped: it is tried again.
      if (open.kind === "hlt") this.file.dirty |= KVM_SYNC_X86.REGS;
      else if (open.kind === "vmcall") this.refuseHypercall();
      else this.showKernelRip();
      this.handed = undefined;
    }
    if (this.exited) {
      this.exited = false;
      return this.stop();
    }
    if (!this.started) {
      this.started = true;
      this.#startClock();
    }
    if (localApic) this.page.setBigUint64(RUN.cr8, BigInt(localApic.priorityClass), true);
    return undefined;
  }

  /** At the board's time; those of one machine show the same. */
  #startClock(): void {
    const { clocks } = this.machine;
    const [other] = clocks;
    if (other) this.settings.timestampOffset = other.timestampOffset;
    else this.settings.setTimestamp(this.config.timestamp());
    clocks.push(this.settings);
  }

  /** All that comes after it. */
  protected cameBack(errno: number): Stop {
    const { localApic } = this.config;
    if (localApic) localApic.priorityClass = Number(this.page.getBigUint64(RUN.cr8, true));
    if (errno === 0) return this.stop();
    if (errno !== EINTR) throw new EngineFailure(`KVM_RUN failed with error ${errno}`);
    if (this.machine.system.pvm && isHypercall(this.code.bytes(this.file.linearRip, 3))) {
      throw new SubjectLacks(HYPERCALL_GAP);
    }
    return BUDGET;
  }

  inject(event: Event): void {
    const { kind } = this.handed ?? {};
    if (kind === "vmcall") this.refuseHypercall();
    if (kind === "msr-read" || kind === "msr-write") {
      if (event !== GENERAL_PROTECTION && event.vector !== GENERAL_PROTECTION.vector) {
        throw new Error("An MSR access that exits on KVM ends well or with #GP");
      }
      this.answerMsr(0n, true);
      return;
    }
    this.settle();
    const registers = this.file;
    switch (event.type) {
      case "exception":
        registers.setEvent("exception.injected", 1);
        registers.setEvent("exception.nr", event.vector);
        registers.setEvent("exception.has_error_code", event.errorCode === undefined ? 0 : 1);
        registers.setErrorCode(event.errorCode ?? 0);
        if (event.address !== undefined) registers.set("cr2", event.address);
        break;
      case "nmi":
        registers.setEvent("nmi.injected", 1);
        break;
      case "external-interrupt":
      case "software-interrupt":
        registers.setEvent("interrupt.injected", 1);
        registers.setEvent("interrupt.nr", event.vector);
        registers.setEvent("interrupt.soft", event.type === "software-interrupt" ? 1 : 0);
        break;
    }
    this.queued = true;
  }

  nmi(): void {
    this.settle();
    this.file.setEvent("nmi.pending", 1);
    this.file.addEventFlag(KVM_VCPUEVENT_VALID.NMI_PENDING);
  }

  get eventPending(): boolean {
    return this.file.event("nmi.pending") !== 0 || this.file.event("exception.injected") !== 0;
  }

  get interruptible(): boolean {
    if (this.midway) return false;
    this.settle();
    const registers = this.file;
    if (this.exited || this.queued || !(registers.get("rflags") & BigInt(RFLAGS.IF))) {
      return false;
    }
    return registers.event("interrupt.shadow") === 0 &&
      registers.event("interrupt.injected") === 0 && registers.event("nmi.injected") === 0 &&
      registers.event("exception.injected") === 0;
  }

  requestInterruptWindow(wanted: boolean): void {
    this.page.setUint8(RUN.request_interrupt_window, wanted ? 1 : 0);
  }

  // ---- Controls ----------------------------------------------------------------------------------------------------

  setControls(controls: ExecutionControls): void {
    if (controls.paging !== "nested") {
      throw new Error("KVM has its own page tables below the guest's");
    }
    if (controls.exceptions !== 0) throw new Error("KVM keeps the guest's exceptions to itself");
  }
  setShadow(): never {
    throw new Error("KVM takes no shadow page tables");
  }
  callOutAt(): never {
    throw new Error("KVM translates nothing");
  }
  emulateStore(): never {
    throw new Error("KVM protects no page of the guest's");
  }
  /** KVM looks at the guest's tables, or watches what the guest does to them; what we do, PVM does not see. */
  flush(): void {
    if (this.machine.system.pvm) this.machine.forgetTables();
  }

  get a20(): boolean {
    return this.machine.a20;
  }
  set a20(open: boolean) {
    this.machine.a20 = open;
  }

  init(): void {
    initialState(this);
    const registers = this.file;
    for (const field of ["exception.injected", "interrupt.injected", "nmi.injected"] as const) {
      registers.setEvent(field, 0);
    }
    for (const field of ["nmi.pending", "nmi.masked", "interrupt.shadow"] as const) {
      registers.setEvent(field, 0);
    }
    this.handed = undefined;
    this.queued = false;
  }

  skipTime(nanoseconds: number): void {
    if (this.started) this.settings.advanceTimestamp(nanoseconds);
  }

  statistics(): Readonly<Record<string, number>> {
    return this.settings.statistics();
  }

  dispose(): void {
    this.machine.release();
  }
}

// `para`: a paravirtualizing VMM with Xen's x86-64 PV interface. Guest kernel and processes all run at CPL 3, on the guest's
// own page tables, which only Xen may change. Control comes here by hypercalls and by faults, and by nothing else.
import { VECTOR } from "../../base/registers.ts";
import { cpuid } from "../../cpu/cpuid.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import type { ExecutionControls, Vcpu } from "../../engine/vcpu.ts";
import { XEN_BLOCK_PORT, XEN_CONSOLE_PORT, XEN_STORE_PORT } from "../../guest/layout.ts";
import type { Exit } from "../../trace/exit.ts";
import { BACKEND_DESCRIPTIONS } from "../descriptions.ts";
import { unknownExit } from "../exit_handlers.ts";
import {
  type BackendDefinition,
  type Monitor,
  type Outcome,
  RESUME,
  type Setup,
  stop,
} from "../monitor.ts";
import { BlockBackend } from "./block_backend.ts";
import { classify, hypercallArguments } from "./classify.ts";
import { ConsoleBackend } from "./console_backend.ts";
import { Domain } from "./domain.ts";
import { buildDomain, DomainBuildError } from "./domain_builder.ts";
import { enterDomain } from "./entry_state.ts";
import {
  handleException,
  handleForcedCpuid,
  handleMsrRead,
  handleMsrWrite,
  handleSoftwareInterrupt,
} from "./faults.ts";
import { hypercallTable } from "./hypercalls/all.ts";
import { deliverEvent, deliverFault, deliverSyscall } from "./trap_delivery.ts";
import { xenCpuid } from "./xen_cpuid.ts";

const ALL_VECTORS = 0xffff_ffff;

/** Everything runs deprivileged, and every exception is Xen's first. */
const CONTROLS: ExecutionControls = {
  kernel: treatments("deprivileged"),
  user: treatments("deprivileged"),
  exceptionVia: "fault",
  exceptions: ALL_VECTORS,
  paging: "direct",
};

class Para implements Monitor {
  readonly controls = CONTROLS;
  readonly direct = false;
  /** A host interrupt takes the CPU from a deprivileged guest as any fault does. */
  readonly preempts = "fault";
  readonly #setup: Setup;
  readonly #hypercalls = hypercallTable();
  #domain: Domain | undefined;
  /** Why there is no domain. */
  #notBuilt = "";

  constructor(setup: Setup) {
    this.#setup = setup;
  }

  cpuid(leaf: number, subleaf: number) {
    return cpuid(leaf, subleaf);
  }

  start(vcpu: Vcpu): void {
    const { image } = this.#setup;
    try {
      const built = buildDomain(vcpu.memory, image, vcpu.hypercallGate);
      const domain = new Domain(this.#setup, vcpu, built);
      enterDomain(vcpu, image, built.topTable);
      attachBackends(domain);
      this.#domain = domain;
    } catch (error) {
      if (!(error instanceof DomainBuildError)) throw error;
      this.#notBuilt = error.message;
    }
  }

  get #running(): Domain {
    if (!this.#domain) throw new Error("The domain is used before it is built");
    return this.#domain;
  }

  classify(exit: Exit): Exit {
    return classify(this.#running, this.#hypercalls, exit);
  }

  handle(exit: Exit): Outcome {
    const domain = this.#running;
    switch (exit.kind) {
      case "hypercall":
        return this.#hypercall(exit);
      case "syscall":
        domain.vcpu.skip();
        return deliverSyscall(domain);
      case "exception":
        return handleException(domain, exit);
      case "software-interrupt":
        return handleSoftwareInterrupt(domain, exit);
      case "cpuid":
        return handleForcedCpuid(domain, xenCpuid(cpuid, exit.detail.leaf, exit.detail.subleaf));
      case "msr-read":
        return handleMsrRead(domain, exit);
      case "msr-write":
        return handleMsrWrite(domain, exit);
      case "vmcall":
        // The gate of HVM guests; in a PV guest there is no such instruction.
        return deliverFault(domain, { vector: VECTOR.UD });
      case "triple-fault":
        return stop({ kind: "triple-fault" });
      default:
        return unknownExit(exit);
    }
  }

  #hypercall(exit: Extract<Exit, { kind: "hypercall" }>): Outcome {
    const domain = this.#running;
    const { vcpu } = domain;
    const { number } = exit.detail;
    vcpu.skip();
    const reply = this.#hypercalls.call(domain, number, hypercallArguments(domain));
    // iret has loaded all registers; a guest that has shut down keeps them as they were.
    if (reply.result === undefined) return reply.outcome;
    // What SYSCALL does to these two registers.
    vcpu.set("rcx", vcpu.get("rip"));
    vcpu.set("r11", vcpu.get("rflags"));
    vcpu.set("rax", BigInt.asUintN(64, reply.result));
    exit.detail.result = reply.result;
    return reply.outcome;
  }

  beforeEntry(): Outcome {
    const domain = this.#domain;
    if (!domain) return stop({ kind: "crash", reason: this.#notBuilt, rip: 0n });
    domain.endPoll();
    domain.clock.update(domain.vcpuInfo, this.#setup.clock.now());
    return domain.events.upcallDue ? deliverEvent(domain) : RESUME;
  }

  wakeable(): boolean {
    return this.#running.wakeable();
  }
}

/** What dom0 has at the other end of the ports that the domain builder binds. */
function attachBackends(domain: Domain): void {
  const { events, setup } = domain;
  const bind = (port: number, notify: () => void) => events.bind({ to: "backend", notify }, port);
  const console = new ConsoleBackend(domain, () => events.raise(XEN_CONSOLE_PORT));
  bind(XEN_CONSOLE_PORT, () => console.kicked());
  // There is no xenstore: its ring is there, and silent.
  bind(XEN_STORE_PORT, () => {});
  const disk = setup.disks[0];
  if (!disk) return;
  const block = new BlockBackend(domain, disk, () => events.raise(XEN_BLOCK_PORT));
  bind(XEN_BLOCK_PORT, () => block.kicked());
}

/** The back end. */
export const para: BackendDefinition = {
  ...BACKEND_DESCRIPTIONS.para,
  create: (setup) => new Para(setup),
};

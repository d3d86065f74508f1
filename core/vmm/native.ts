// `native`: no monitor at all. The guest has the CPU and the board's devices to itself; what this does is the board's part,
// delivering interrupts. The reference that overhead is measured against.
import { cpuid } from "../cpu/cpuid.ts";
import { treatments } from "../cpu/sensitive_operations.ts";
import type { ExecutionControls, Vcpu } from "../engine/vcpu.ts";
import type { InterruptController } from "../machine/device.ts";
import type { Exit } from "../trace/exit.ts";
import { startBare } from "../engine/bare_start.ts";
import { boardOf } from "./board_of.ts";
import { beyondRam, interruptsMasked, unknownExit } from "./exit_handlers.ts";
import { InterruptDelivery } from "./interrupts.ts";
import {
  type BackendDefinition,
  type Monitor,
  type Outcome,
  RESUME,
  type Setup,
  stop,
} from "./monitor.ts";

const CONTROLS: ExecutionControls = {
  kernel: treatments("bare"),
  user: treatments("bare"),
  exceptionVia: "fault",
  exceptions: 0,
  paging: "direct",
};

class Native implements Monitor {
  readonly controls = CONTROLS;
  readonly direct = true;
  readonly preempts = false;
  readonly #setup: Setup;
  readonly #controller: InterruptController;
  #vcpu!: Vcpu;
  #delivery!: InterruptDelivery;

  constructor(setup: Setup) {
    this.#setup = setup;
    this.#controller = boardOf(setup).interrupts;
  }

  cpuid(leaf: number, subleaf: number) {
    return cpuid(leaf, subleaf);
  }

  start(vcpu: Vcpu): void {
    this.#vcpu = vcpu;
    this.#delivery = new InterruptDelivery(vcpu, this.#controller, this.#setup.recorder);
    startBare(vcpu, this.#setup.image);
  }

  classify(exit: Exit): Exit {
    return exit;
  }

  /** The only things that the engine has to report of a bare machine. */
  handle(exit: Exit): Outcome {
    switch (exit.kind) {
      case "interrupt-window":
        this.#delivery.windowOpened();
        return RESUME;
      case "triple-fault":
        return stop({ kind: "triple-fault" });
      case "mmio":
        return beyondRam(exit);
      default:
        return unknownExit(exit);
    }
  }

  beforeEntry(): Outcome {
    this.#delivery.beforeEntry();
    return RESUME;
  }

  wakeable(): boolean {
    return this.#controller.pending() && !interruptsMasked(this.#vcpu);
  }

  deaf(): boolean {
    return interruptsMasked(this.#vcpu);
  }
}

export const native: BackendDefinition = {
  backend: "native",
  summary: "no monitor: the reference for overhead",
  platform: "bare",
  unsuited: () => undefined,
  create: (setup) => new Native(setup),
};

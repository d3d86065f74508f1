// `native`: no monitor at all. The guest has the CPU and the board's devices to itself; what this does is the board's part,
// delivering interrupts. The reference that overhead is measured against.
import { cpuid } from "../cpu/cpuid.ts";
import { treatments } from "../cpu/sensitive_operations.ts";
import type { ExecutionControls, Vcpu } from "../engine/vcpu.ts";
import type { PcBoard } from "../machine/board.ts";
import type { Bus } from "../machine/bus.ts";
import type { Exit } from "../trace/exit.ts";
import { startBare } from "../engine/bare_start.ts";
import { boardOf } from "./board_of.ts";
import { BACKEND_DESCRIPTIONS } from "./descriptions.ts";
import { beyondRam, unknownExit } from "./exit_handlers.ts";
import { InterruptDelivery } from "./interrupts.ts";
import {
  type BackendDefinition,
  type Monitor,
  type Outcome,
  RESUME,
  type Setup,
  stop,
} from "./monitor.ts";
import { Processor } from "./processor.ts";

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
  readonly bus: Bus;
  readonly #setup: Setup;
  readonly #board: PcBoard;
  readonly #number: number;
  readonly #processor: Processor;
  #vcpu!: Vcpu;
  #delivery!: InterruptDelivery;

  constructor(setup: Setup, board = boardOf(setup), number = 0) {
    this.#setup = setup;
    this.#board = board;
    this.#number = number;
    const own = board.cpus[number] ?? board.cpus[0];
    this.#processor = new Processor(own, board.cpus.length);
    this.bus = own.bus;
  }

  another(cpu: number): Monitor {
    return new Native(this.#setup, this.#board, cpu);
  }

  get localApic() {
    return this.#processor.localApic;
  }

  cpuid(leaf: number, subleaf: number) {
    return this.#processor.cpuid(leaf, subleaf, cpuid(leaf, subleaf));
  }

  start(vcpu: Vcpu): void {
    this.#vcpu = vcpu;
    const { interrupts } = this.#processor.board;
    this.#delivery = new InterruptDelivery(vcpu, interrupts, this.#setup.recorder);
    this.#processor.start(vcpu);
    if (this.#number === 0) startBare(vcpu, this.#setup.image);
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
    const outcome = this.#processor.settle(this.#vcpu);
    if (outcome === RESUME) this.#delivery.beforeEntry();
    return outcome;
  }

  wakeable(): boolean {
    return this.#processor.wakes(this.#vcpu);
  }

  deaf(): boolean {
    return this.#processor.isDeaf(this.#vcpu);
  }
}

export const native: BackendDefinition = {
  ...BACKEND_DESCRIPTIONS.native,
  create: (setup) => new Native(setup),
};

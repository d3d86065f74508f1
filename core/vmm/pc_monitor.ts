// The monitor of a virtual PC: a dispatch table of exits, an interrupt controller, and shadow page tables where the
// technique needs them. `full-bt`, `full-hw` and `hybrid` are this, under different controls and with different tables.
import { cpuid, withoutMonitor } from "../cpu/cpuid.ts";
import type { CpuidResult } from "../cpu/cpu.ts";
import type { ExecutionControls, Vcpu } from "../engine/vcpu.ts";
import type { PcBoard } from "../machine/board.ts";
import type { Exit, ExitVia } from "../trace/exit.ts";
import { startBare } from "../engine/bare_start.ts";
import { boardOf } from "./board_of.ts";
import { dispatch, type ExitHandlers, type Machine } from "./exit_handlers.ts";
import { InterruptDelivery } from "./interrupts.ts";
import { type Monitor, type Outcome, RESUME, type Setup } from "./monitor.ts";
import { Processor } from "./processor.ts";
import { ShadowPaging } from "./shadow.ts";
import type { ShadowMap } from "./shadow_map.ts";
import { ShadowExits } from "./shadow_handlers.ts";

/** What makes one technique differ from another. */
export interface PcMonitorOptions {
  /** With `paging: "shadow"`, the monitor keeps shadow tables. */
  readonly controls: ExecutionControls;
  /** By exit kind. Those of shadow paging are laid over it where it is used. */
  readonly handlers: ExitHandlers;
  /** How what does not come of an instruction (a host interrupt, an interrupt window) takes the CPU from the guest. */
  readonly preempts: ExitVia;
  /** The same while user code runs, where that runs in another way than the kernel's. */
  readonly preemptsUser?: ExitVia;
  /** Can the technique retranslate an instruction that keeps faulting? */
  readonly adapts?: boolean;
  /** What CPUID says; absent: the bare CPU's, as a VMM that hides has it. MONITOR is in no case there, as with KVM. */
  readonly cpuid?: (leaf: number, subleaf: number) => CpuidResult;
}

/** A monitor that shows its guest a PC. */
export class PcMonitor implements Monitor {
  readonly controls: ExecutionControls;
  readonly direct = false;
  readonly #setup: Setup;
  readonly #options: PcMonitorOptions;
  readonly #board: PcBoard;
  readonly #number: number;
  readonly #processor: Processor;
  /** The shadow tables of all CPUs. */
  readonly #shadows: ShadowMap[];
  readonly #priorityControls: ExecutionControls;
  #priorityWatched = false;
  #handlers: ExitHandlers;
  #started: {
    readonly machine: Machine;
    readonly shadow?: ShadowExits;
    readonly paging?: ShadowPaging;
  } | undefined;

  /** Of the CPU with this number; `board` where the back end, or the first CPU's monitor, has built it already. */
  constructor(
    setup: Setup,
    options: PcMonitorOptions,
    board = boardOf(setup),
    number = 0,
    shadows: ShadowMap[] = [],
  ) {
    this.#shadows = shadows;
    this.#setup = setup;
    this.#options = options;
    const { controls } = options;
    this.controls = controls;
    // VMX's TPR threshold does it for nested paging (SDM vol. 3, 30.1.2); others intercept CR8. What is translated looks anyway.
    const exits = controls.kernel["mov-cr8"] === "execute";
    this.#priorityControls = exits
      ? { ...controls, kernel: { ...controls.kernel, "mov-cr8": "vm-exit" } }
      : controls;
    this.#handlers = options.handlers;
    this.#board = board;
    this.#number = number;
    this.#processor = new Processor(board.cpus[number] ?? board.cpus[0], board.cpus.length);
  }

  another(cpu: number): Monitor {
    return new PcMonitor(this.#setup, this.#options, this.#board, cpu, this.#shadows);
  }

  get localApic() {
    return this.#processor.localApic;
  }

  get ownLocalApic(): boolean {
    return this.#processor.board.hasLapic;
  }

  get preempts(): ExitVia {
    const { preempts, preemptsUser = preempts } = this.#options;
    return this.#started?.machine.vcpu.cpl === 3 ? preemptsUser : preempts;
  }

  get #machine(): Machine {
    if (!this.#started) throw new Error("The monitor is used before it is started");
    return this.#started.machine;
  }

  cpuid(leaf: number, subleaf: number): CpuidResult {
    const answer = (this.#options.cpuid ?? cpuid)(leaf, subleaf);
    return this.#processor.cpuid(leaf, subleaf, withoutMonitor(answer, leaf));
  }

  start(vcpu: Vcpu): void {
    const { recorder, image } = this.#setup;
    const { bus } = this.#processor.board;
    const interrupts = new InterruptDelivery(vcpu, this.#processor.board.interrupts, recorder);
    this.#processor.start(vcpu);
    if (this.#number === 0) startBare(vcpu, image);
    if (this.controls.paging !== "shadow") {
      const emulate = () => vcpu.emulate();
      this.#started = { machine: { vcpu, bus, recorder, interrupts, emulate } };
      return;
    }
    const paging = new ShadowPaging(vcpu, this.#shadows);
    const shadow = new ShadowExits(paging, { adapts: this.#options.adapts ?? false });
    const emulate = () => paging.emulate();
    this.#handlers = { ...this.#handlers, ...shadow.handlers };
    this.#started = { machine: { vcpu, bus, recorder, interrupts, emulate }, shadow, paging };
    paging.start();
  }

  classify(exit: Exit): Exit {
    const own = exit.kind === "interrupt-window" || exit.kind === "triple-fault"
      ? { ...exit, via: this.preempts }
      : exit;
    return this.#started?.shadow?.classify(own, this.#started.machine) ?? own;
  }

  handle(exit: Exit): Outcome {
    return dispatch(this.#handlers, exit, this.#machine);
  }

  beforeEntry(): Outcome {
    const { vcpu, interrupts } = this.#machine;
    const outcome = this.#processor.settle(vcpu, () => this.#started?.paging?.sync());
    if (outcome === RESUME) interrupts.beforeEntry();
    this.#watchPriority(vcpu);
    return outcome;
  }

  /** While an interrupt waits for a lower task priority, the guest leaves when it moves that. */
  #watchPriority(vcpu: Vcpu): void {
    const watched = this.#processor.board.lapic?.waitsForPriority ?? false;
    if (watched === this.#priorityWatched) return;
    this.#priorityWatched = watched;
    vcpu.setControls(watched ? this.#priorityControls : this.controls);
  }

  summons(): boolean {
    return this.#processor.signalled || this.#machine.interrupts.unawaited;
  }

  wakeable(): boolean {
    return this.#processor.wakes(this.#machine.vcpu);
  }

  deaf(): boolean {
    return this.#processor.isDeaf(this.#machine.vcpu);
  }
}

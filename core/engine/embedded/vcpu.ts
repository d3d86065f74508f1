// The embedded engine's virtual CPU: the run loop between translated regions, instructions done in TypeScript, events and
// exits.
import { CR0, type RegisterName, RFLAGS, VECTOR } from "../../base/registers.ts";
import {
  breakpointAt,
  isNmiDue,
  isTracing,
  noteTraps,
  takeNmi,
  takeTrap,
} from "../../cpu/boundary.ts";
import { checkPrivilege, exitDetail, isIdleRepeat } from "../../cpu/classify.ts";
import { isMoveToControl } from "../../cpu/control_registers.ts";
import { deliver, escalate } from "../../cpu/deliver.ts";
import { isIntercepted } from "../../cpu/intercepts.ts";
import { unitOf } from "../../cpu/execute/x87.ts";
import { GuestFault } from "../../cpu/fault.ts";
import * as L from "../../cpu/layout.ts";
import { ripBits } from "../../cpu/linear.ts";
import { initialize } from "../../cpu/reset.ts";
import { MAX_BLOCK } from "../../cpu/translate/region.ts";
import { LEAVE } from "../../cpu/translate/runtime.ts";
import type { Treatment } from "../../cpu/sensitive_operations.ts";
import type { Exit, ExitKind } from "../../trace/exit.ts";
import type { Capabilities, Event, Stop, Vcpu, VcpuConfig } from "../vcpu.ts";
import { DeviceAccess } from "./physical.ts";
import type { Shared } from "./processor.ts";
import { TaskSwitchAttempt } from "./task_attempt.ts";
import { type Step, Stepper } from "./stepper.ts";
import { guarded } from "./region_memory.ts";
import type { SlowInstruction } from "./slow_instructions.ts";

const CAPABILITIES: Capabilities = {
  exits: "exact",
  deterministic: true,
  singleStep: true,
  controls: true,
};

/**
 * Instructions between two looks at the run loop. V8 replaces a function by its optimized code only where it is called, so
 * a guest's endless loop has to be left now and then; this many take a millisecond or two at first.
 */
const SLICE = 2_000_000;

/**
 * Events delivered before the caller gets a look: a handler that faults at its first instruction, on a stack of its own,
 * would go on for ever without an instruction retired.
 */
const MAX_DELIVERIES = 256;

/**
 * Regions that bail one after the other, within so few instructions, before there are none for a while: code that faults or
 * reaches devices all along (zeroed memory, run through as `add [rax], al`) would have a page of it translated for each step.
 */
const MANY_BAILS = 4;
const SOON = 8;
/** Instructions that are then stepped over one by one before a region is tried again, and the length of that one. */
const CAREFUL = 16;
const CAUTIOUS = 4;

const BUDGET_STOP: Stop = { reason: "budget" };
const IDLE_STOP: Stop = { reason: "idle" };
const WAIT_STOP: Stop = { reason: "wait" };
const PAUSE_STOP: Stop = { reason: "pause" };

export class EmbeddedVcpu extends Stepper implements Vcpu {
  readonly capabilities = CAPABILITIES;
  readonly #inlined: Record<string, number> = {};
  #queued: Event | undefined;
  /** The event that was injected was one fault too many: the next run begins with a triple fault. */
  #shutdown: Stop | undefined;
  #deliveries = 0;
  /** The queued event whose delivery came to a task switch that has left. */
  #switching: Event | undefined;
  #windowWanted = false;
  /** The instruction that exited, for `complete` and `skip`. */
  #exited: SlowInstruction | undefined;
  /** It exited for its port, and not for device memory that it reaches as well. */
  #exitedAtPort = false;
  /**
   * The VMM has taken the exit of the instruction under way, which turned out to need device memory too: its port has answered,
   * or it is emulated. It goes on from there.
   */
  #taken: "port" | "emulation" | undefined;
  #bails = 0;
  #retiredAtBail = 0;
  #careful = 0;
  /** A device was reached: the caller is to look at its deadlines. */
  #yielded = false;
  /** Are there other CPUs, which a PAUSE may wait for? */
  readonly #others: boolean;

  constructor(config: VcpuConfig, shared?: Shared) {
    super(config, shared);
    this.#others = shared !== undefined;
  }

  watchFloatErrors(listener: () => void): void {
    unitOf(this.state).onError = () => {
      if (this.state.control("cr0") & BigInt(CR0.NE)) return;
      this.#yielded = true;
      listener();
    };
  }

  inlined(): Record<string, number> {
    const { view } = this.state;
    const lookups = Number(view.getBigInt64(L.LOOKUPS, true));
    const pauses = Number(view.getBigInt64(L.PAUSES, true)) + (this.#inlined["pause"] ?? 0);
    return {
      ...this.#inlined,
      ...(lookups > 0 && { "indirect-branch": lookups }),
      ...(pauses > 0 && { pause: pauses }),
    };
  }

  // ---- Running -----------------------------------------------------------------------------------------------------

  override get(name: RegisterName): bigint {
    if (name === "cr8") this.#readPriority();
    return super.get(name);
  }

  override set(name: RegisterName, value: bigint): void {
    super.set(name, value);
    if (name === "cr8" && this.config.localApic) {
      this.config.localApic.priorityClass = Number(value);
    }
  }

  #readPriority(): void {
    const apic = this.config.localApic;
    if (apic) this.state.setControl("cr8", BigInt(apic.priorityClass));
  }

  run(budget: number): Stop {
    this.#readPriority();
    let rest = Math.max(1, Math.floor(budget));
    for (;;) {
      const before = this.retired;
      this.retiredBefore = before;
      this.granted = this.budget = Math.min(rest, SLICE);
      const stop = this.#slice(rest > SLICE);
      rest -= this.retired - before;
      if (stop !== BUDGET_STOP || rest <= 0 || this.#yielded) {
        this.#yielded = false;
        return stop;
      }
    }
  }

  #slice(more: boolean): Stop {
    this.#switching = undefined;
    try {
      for (;;) {
        const stop = this.#turn(more);
        if (stop) return stop;
      }
    } catch (thrown) {
      if (thrown instanceof TaskSwitchAttempt) return this.#taskSwitch(thrown);
      throw thrown;
    }
  }

  #taskSwitch({ selector, treatment }: TaskSwitchAttempt): Stop {
    this.#switching = this.#queued;
    const decoded = this.#queued ? undefined : guarded(() => this.reader.decode());
    const instruction = decoded && "insn" in decoded ? decoded : undefined;
    return this.#exit("task-switch", treatment, { selector }, instruction);
  }

  /** One turn of the run loop: an event, an instruction, or as many regions as go without help. */
  #turn(more: boolean): Stop | undefined {
    if (this.#shutdown) {
      const stop = this.#shutdown;
      this.#shutdown = undefined;
      return stop;
    }
    const { state } = this;
    const trap = takeTrap(state, () => this.reader.linearRip());
    if (trap) return this.#fault(trap, undefined);
    if (this.#queued) return this.#deliverQueued(this.#queued);
    if (isNmiDue(state) && !this.restart) {
      takeNmi(state);
      this.#queued = { type: "nmi", vector: VECTOR.NMI };
      return undefined;
    }
    if (this.#windowWanted && this.interruptible) {
      return this.#exit("interrupt-window", "vm-exit", {}, undefined);
    }
    if (this.budget <= 0) return BUDGET_STOP;
    const breakpoint = breakpointAt(state, () => this.reader.linearRip());
    if (breakpoint) return this.#fault(breakpoint, undefined);
    if (this.restart || isTracing(state) || (state.interruptShadow && this.#awaits)) {
      this.restart = false;
      return this.#instruction();
    }
    if (this.#careful > 0) {
      if (--this.#careful === 0) this.#retiredAtBail = this.retired;
      return this.#instruction();
    }
    if (state.resuming && state.breakpoints.code.length > 0) return this.#instruction();
    // What went well for a while is trusted again: code after a burst of device accesses may loop for long.
    if (this.#bails >= MANY_BAILS && this.retired - this.#retiredAtBail >= SOON) this.#bails = 0;
    // Near the end of a grant, regions are made so short that they do not overrun it.
    const limit = this.#bails >= MANY_BAILS
      ? Math.min(CAUTIOUS, shortRegion(this.budget) ?? CAUTIOUS)
      : more
      ? undefined
      : shortRegion(this.budget);
    const region = this.region(limit);
    if (region instanceof GuestFault || region instanceof DeviceAccess) {
      return this.#failed(region, undefined);
    }
    if (!region) return this.#instruction();
    if (state.resuming) state.resuming = false;
    state.interruptShadow = false;
    if (!limit) this.tlb.setJump(this.state.rip, region.slot);
    const left = limit ? region.run() : this.core.runtime.dispatch();
    switch (Math.max(left, LEAVE.dispatch)) {
      case LEAVE.dispatch: {
        const last = limit ? region : this.core.at(state.view.getInt32(L.LAST_SLOT, true));
        const astray = this.astray(left, last);
        return astray && this.#failed(astray, undefined);
      }
      case LEAVE.slow:
        if (this.budget <= 0) return BUDGET_STOP;
        return state.breakpoints.code.length > 0 ? undefined : this.#instruction();
      case LEAVE.budget:
        return this.budget > 0 && !more && !this.#yielded ? undefined : BUDGET_STOP;
      case LEAVE.bail:
        return this.#afterBail();
      default:
        throw new Error(`A region left with ${left}`);
    }
  }

  #afterBail(): Stop | undefined {
    const { retired } = this;
    this.#bails = retired - this.#retiredAtBail < SOON ? this.#bails + 1 : 0;
    this.#retiredAtBail = retired;
    if (this.#bails >= MANY_BAILS) this.#careful = CAREFUL;
    const why = this.paths.takeBail();
    return why === "step" ? this.#instruction() : this.#failed(why, undefined);
  }

  /** The instruction at RIP, by itself, as the controls want it. */
  #instruction(): Stop | undefined {
    const decoded = guarded(() => this.reader.decode());
    if (decoded instanceof GuestFault || decoded instanceof DeviceAccess) {
      return this.#failed(decoded, undefined);
    }
    const { insn, operation } = decoded;
    const table = this.state.cpl === 3 ? this.controls.user : this.controls.kernel;
    const treatment = operation && operation !== "indirect-branch" ? table[operation] : "execute";
    if (this.#taken) return this.#done(decoded, this.#goOn(decoded), "vm-exit");
    if (
      operation && treatment !== "execute" && treatment !== "inline" &&
      !isIdleRepeat(this.state, insn)
    ) {
      const body = guarded(() => {
        // The exit of MOV DR comes before its faults (SDM vol. 3, 26.1.3).
        const first = operation === "mov-dr" && treatment === "vm-exit";
        if (!first) checkPrivilege(this.cpu, insn, operation);
        const { intercepts } = this.controls;
        const stays = treatment === "vm-exit" && intercepts &&
          !isIntercepted(this.cpu, insn, operation, intercepts);
        this.physical.begin();
        return stays ? undefined : exitDetail(this.cpu, insn, operation);
      });
      if (body instanceof GuestFault || body instanceof DeviceAccess) {
        return this.#failed(body, decoded);
      }
      if (body) return this.#exit(body.kind, treatment, body.detail, decoded);
    }
    return this.#done(
      decoded,
      this.step(decoded, treatment === "inline" ? this.inlining : this.cpu),
      treatment,
    );
  }

  #goOn(decoded: SlowInstruction): Step {
    return this.#taken === "port"
      ? this.step(decoded, this.completing)
      : this.asVmm(() => this.step(decoded, this.cpu));
  }

  /** What comes of a step. */
  #done(decoded: SlowInstruction, step: Step, treatment: Treatment): Stop | undefined {
    const { operation } = decoded;
    if (step === "done" || step === "idle" || step === "wait") {
      if (operation && treatment === "inline") {
        this.#inlined[operation] = (this.#inlined[operation] ?? 0) + 1;
      }
      if (step === "idle") return IDLE_STOP;
      if (this.#others && (operation === "pause" || operation === "monitor-mwait")) {
        return PAUSE_STOP;
      }
      if (step === "wait") return WAIT_STOP;
      // A device was reached directly: its deadlines may be nearer than the budget says.
      const reached = this.physical.takeReached();
      this.#yielded = reached || this.#movesPriority(decoded) ||
        operation === "port-io" && this.config.bus !== undefined || this.#yielded;
      return this.#yielded ? BUDGET_STOP : undefined;
    }
    return this.#failed(step, decoded);
  }

  /** The local APIC learns of a new CR8; and after an MSR's write other interrupts may come through. */
  #movesPriority({ operation, insn }: SlowInstruction): boolean {
    const apic = this.config.localApic;
    if (!apic || (operation !== "mov-cr8" && operation !== "wrmsr")) return false;
    if (operation === "mov-cr8") {
      if (!isMoveToControl(insn)) return false;
      apic.priorityClass = Number(this.state.control("cr8"));
    }
    return true;
  }

  /** Does something wait for the end of an interrupt shadow? */
  get #awaits(): boolean {
    const { pendingDebug, nmiPending, breakpoints } = this.state;
    return this.#windowWanted || pendingDebug !== 0 || nmiPending || breakpoints.code.length > 0;
  }

  /** What comes of an instruction that could not be done. */
  #failed(
    cause: GuestFault | DeviceAccess,
    decoded: SlowInstruction | undefined,
  ): Stop | undefined {
    const at = decoded ?? guarded(() => this.reader.decode());
    const instruction = at instanceof GuestFault || at instanceof DeviceAccess ? undefined : at;
    return cause instanceof GuestFault
      ? this.#fault(cause, instruction)
      : this.#device(cause, instruction);
  }

  #device(access: DeviceAccess, instruction: SlowInstruction | undefined): Stop {
    const { gpa, size, write, value } = access;
    const kind = write ? "write" : "read";
    const detail = {
      gpa,
      access: instruction ? kind : "execute",
      size,
      value,
    } as const;
    if (this.controls.paging === "nested") {
      return this.#exit("ept-violation", "vm-exit", detail, instruction);
    }
    const via = this.callouts.has(this.reader.linearRip()) ? "callout" : this.controls.exceptionVia;
    return this.#exit("mmio", via, detail, instruction);
  }

  #fault(fault: GuestFault, instruction: SlowInstruction | undefined): Stop | undefined {
    const { vector, errorCode, address } = fault;
    // The VMM may mend what is wrong: then the instruction goes on with what devices have answered it.
    this.restart = this.physical.answered;
    if (this.callouts.get(this.reader.linearRip()) === "trace" && address !== undefined) {
      const gpa = this.translate(address);
      const isProtection = vector === VECTOR.PF && ((errorCode ?? 0) & 3) === 3;
      if (gpa !== undefined && isProtection) {
        return this.#exit("trace", "callout", { address, gpa }, instruction);
      }
    }
    if (this.controls.exceptions & (1 << vector)) {
      const { type: _, ...detail } = faultEvent(fault);
      return this.#exit("exception", this.controls.exceptionVia, detail, instruction);
    }
    this.forget();
    this.#queued = faultEvent(fault);
    return undefined;
  }

  /** Delivers an event through the guest's tables; a fault on the way exits, or takes its place. */
  #deliverQueued(event: Event): Stop | undefined {
    const { state } = this;
    state.breakpoints.met = 0;
    const delivered = guarded(() => deliver(this.cpu, event));
    if (delivered instanceof DeviceAccess) {
      this.#queued = undefined;
      return this.#device(delivered, undefined);
    }
    if (!(delivered instanceof GuestFault)) {
      this.#queued = undefined;
      // A trap that MOV SS has put off is lost to a fault; breakpoints on the stack show at the handler's first instruction.
      state.pendingDebug = state.breakpoints.after();
      if (++this.#deliveries % MAX_DELIVERIES !== 0) return undefined;
      this.#yielded = true;
      return BUDGET_STOP;
    }
    if (this.controls.exceptions & (1 << delivered.vector)) {
      // The event stays queued: the VMM mends what is in its way, or injects another one.
      return this.#fault(delivered, undefined);
    }
    return this.#replaceQueued(delivered);
  }

  /** A fault came up while the queued event was delivered: SDM vol. 3, table 6-5. */
  #replaceQueued(fault: GuestFault): Stop | undefined {
    const during = this.#queued;
    // CR2 tells of the last page fault, also where a double fault takes its place (SDM vol. 3, 6.15, #PF).
    if (fault.address !== undefined) this.state.setControl("cr2", fault.address);
    const next = during?.type === "exception" ? escalate(during.vector, fault) : fault;
    this.#queued = next && faultEvent(next);
    return next ? undefined : this.#exit("triple-fault", "vm-exit", {}, undefined);
  }

  #exit<K extends ExitKind>(
    kind: K,
    via: Exit["via"] | "execute" | "inline",
    detail: Extract<Exit, { kind: K }>["detail"],
    instruction: SlowInstruction | undefined,
  ): Stop {
    this.#exited = instruction;
    this.#exitedAtPort = kind === "io";
    const exit = {
      kind,
      via,
      rip: this.reader.linearRip(),
      bytes: instruction?.bytes ?? new Uint8Array(),
      bitness: this.state.bitness,
      detail,
    };
    // Kind and detail belong together by the signature, which TypeScript can't follow through a generic object.
    return { reason: "exit", exit: exit as unknown as Exit };
  }

  // ---- After an exit -----------------------------------------------------------------------------------------------

  complete(value = 0n): void {
    const exited = this.#exited;
    if (!exited) throw new Error("Nothing to complete");
    if (!this.#exitedAtPort) {
      this.physical.answer(value);
      this.restart = true;
      return;
    }
    this.completion.value = Number(value);
    const step = this.step(exited, this.completing);
    if (step instanceof GuestFault) this.#queued = faultEvent(step);
    if (step instanceof DeviceAccess) this.#take("port");
  }

  #take(what: "port" | "emulation"): void {
    this.#taken = what;
    this.restart = true;
  }

  protected override forget(): void {
    super.forget();
    this.#taken = undefined;
  }

  get midway(): boolean {
    return this.restart;
  }

  skip(): void {
    const length = this.#exited?.insn.length ?? 0;
    this.state.rip = BigInt.asUintN(ripBits(this.state.bitness), this.state.rip + BigInt(length));
    this.state.interruptShadow = false;
    this.state.resuming = false;
    this.state.breakpoints.met = 0;
    this.physical.done();
    this.budget--;
    const { operation } = this.#exited ?? {};
    const enters = operation === "int-n" || operation === "syscall";
    if (!enters && this.#exited) noteTraps(this.state, operation, isTracing(this.state));
  }

  emulate(): Event | undefined {
    return this.asVmm(() => this.#switching ? this.#switchTask(this.#switching) : this.#emulate());
  }

  /** Delivers an event through a task gate. */
  #switchTask(event: Event): Event | undefined {
    const delivered = guarded(() => deliver(this.cpu, event));
    // The event stays queued: its fault may make a double fault of it.
    if (delivered instanceof GuestFault) return faultEvent(delivered);
    this.#switching = this.#queued = undefined;
    return undefined;
  }

  #emulate(): Event | undefined {
    const decoded = guarded(() => this.reader.decode());
    if (decoded instanceof DeviceAccess) throw new Error("Code to emulate stands in device memory");
    const step = decoded instanceof GuestFault ? decoded : this.step(decoded, this.cpu);
    if (step === "done" && !(decoded instanceof GuestFault)) this.#movesPriority(decoded);
    if (step instanceof DeviceAccess) this.#take("emulation");
    return step instanceof GuestFault ? faultEvent(step) : undefined;
  }

  emulateStore(gpa: number): Event | undefined {
    return this.withUnprotected(gpa, () => this.emulate());
  }

  inject(event: Event): void {
    this.forget();
    if (this.#queued && event.type === "exception") {
      const { vector, errorCode, address } = event;
      this.#shutdown = this.#replaceQueued(new GuestFault(vector, errorCode, address));
    } else this.#queued = event;
  }

  nmi(): void {
    this.state.nmiPending = true;
  }

  debugRegister(number: number): bigint {
    return this.state.debug(number);
  }
  setDebugRegister(number: number, value: bigint): void {
    this.state.setDebug(number, value);
  }

  init(): void {
    initialize(this.state);
    this.forget();
    this.#queued = undefined;
    this.#shutdown = undefined;
    this.flush();
  }

  get interruptible(): boolean {
    return !this.#queued && !this.eventPending && !this.state.interruptShadow && !this.restart &&
      (this.state.systemFlags & RFLAGS.IF) !== 0;
  }

  requestInterruptWindow(wanted: boolean): void {
    this.#windowWanted = wanted;
  }
}

/** The event that delivers a fault. */
function faultEvent({ vector, errorCode, address }: GuestFault): Event {
  return {
    type: "exception",
    vector,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(address === undefined ? {} : { address }),
  };
}

/** The greatest power of two in a budget that a whole block might overrun: few lengths, so that regions are met again. */
function shortRegion(budget: number): number | undefined {
  return budget >= MAX_BLOCK ? undefined : 1 << Math.floor(Math.log2(Math.max(1, budget)));
}

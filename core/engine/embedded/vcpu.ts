// The embedded engine's virtual CPU: the run loop, between translated regions, instructions done in TypeScript, and events.
import { CR0, RFLAGS, VECTOR } from "../../base/registers.ts";
import { breakpointAt, isNmiDue, isTracing, takeNmi, takeTrap } from "../../cpu/boundary.ts";
import { unitOf } from "../../cpu/execute/x87.ts";
import { GuestFault } from "../../cpu/fault.ts";
import * as L from "../../cpu/layout.ts";
import type { Treatment } from "../../cpu/sensitive_operations.ts";
import { MAX_BLOCK } from "../../cpu/translate/region.ts";
import { LEAVE } from "../../cpu/translate/runtime.ts";
import type { Capabilities, Stop, Vcpu, VcpuConfig } from "../vcpu.ts";
import { Caution } from "./caution.ts";
import { ExitingStepper } from "./exits.ts";
import { DeviceAccess } from "./physical.ts";
import type { Shared } from "./processor.ts";
import { guarded } from "./region_memory.ts";
import type { SlowInstruction } from "./slow_instructions.ts";
import type { Step } from "./stepper.ts";
import { TaskSwitchAttempt } from "./task_attempt.ts";

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

const BUDGET_STOP: Stop = { reason: "budget" };
const IDLE_STOP: Stop = { reason: "idle" };
const WAIT_STOP: Stop = { reason: "wait" };
const PAUSE_STOP: Stop = { reason: "pause" };

export class EmbeddedVcpu extends ExitingStepper implements Vcpu {
  readonly capabilities = CAPABILITIES;
  readonly #inlined: Record<string, number> = {};
  readonly #caution = new Caution(this);
  #windowWanted = false;
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

  get interruptible(): boolean {
    return !this.events.queued && !this.eventPending && !this.state.interruptShadow &&
      !this.restart &&
      (this.state.systemFlags & RFLAGS.IF) !== 0;
  }

  requestInterruptWindow(wanted: boolean): void {
    this.#windowWanted = wanted;
  }

  // ---- Running -----------------------------------------------------------------------------------------------------

  run(budget: number): Stop {
    this.priority.load();
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
    this.events.switching = undefined;
    try {
      for (;;) {
        const stop = this.#turn(more);
        if (stop) return stop;
      }
    } catch (thrown) {
      if (thrown instanceof TaskSwitchAttempt) return this.taskSwitch(thrown);
      throw thrown;
    }
  }

  /** One turn of the run loop: an event, an instruction, or as many regions as go without help. */
  #turn(more: boolean): Stop | undefined {
    const { state, events } = this;
    const shutdown = this.takeShutdown();
    if (shutdown) return shutdown;
    const trap = takeTrap(state, () => this.reader.linearRip());
    if (trap) return this.fault(trap, undefined);
    if (events.queued) return this.#delivered(this.deliver(events.queued));
    if (isNmiDue(state) && !this.restart) {
      takeNmi(state);
      events.queued = { type: "nmi", vector: VECTOR.NMI };
      return undefined;
    }
    if (this.#windowWanted && this.interruptible) {
      return this.exit("interrupt-window", "vm-exit", {}, undefined);
    }
    if (this.budget <= 0) return BUDGET_STOP;
    const breakpoint = breakpointAt(state, () => this.reader.linearRip());
    if (breakpoint) return this.fault(breakpoint, undefined);
    if (this.restart || isTracing(state) || (state.interruptShadow && this.#awaits)) {
      this.restart = false;
      return this.#instruction();
    }
    if (this.#caution.stepsNext()) return this.#instruction();
    if (state.resuming && state.breakpoints.code.length > 0) return this.#instruction();
    return this.#regions(more);
  }

  /** Regions, from RIP on. */
  #regions(more: boolean): Stop | undefined {
    const { state } = this;
    const limit = this.#limit(more);
    const region = this.region(limit);
    if (region instanceof GuestFault || region instanceof DeviceAccess) {
      return this.failed(region, undefined);
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
        return astray && this.failed(astray, undefined);
      }
      case LEAVE.slow:
        if (this.budget <= 0) return BUDGET_STOP;
        return state.breakpoints.code.length > 0 ? undefined : this.#instruction();
      case LEAVE.budget:
        return this.budget > 0 && !more && !this.#yielded ? undefined : BUDGET_STOP;
      case LEAVE.bail: {
        this.#caution.bailed();
        const why = this.paths.takeBail();
        return why === "step" ? this.#instruction() : this.failed(why, undefined);
      }
      default:
        throw new Error(`A region left with ${left}`);
    }
  }

  /** How many instructions the next region may have. Near the end of a grant, it must not overrun that. */
  #limit(more: boolean): number | undefined {
    const cautious = this.#caution.limit;
    if (cautious < Infinity) return Math.min(cautious, shortRegion(this.budget) ?? cautious);
    return more ? undefined : shortRegion(this.budget);
  }

  /** The instruction at RIP, by itself, as the controls want it. */
  #instruction(): Stop | undefined {
    const decoded = guarded(() => this.reader.decode());
    if (decoded instanceof GuestFault || decoded instanceof DeviceAccess) {
      return this.failed(decoded, undefined);
    }
    const treatment = this.treatmentOf(decoded);
    const step = this.attempt(decoded, treatment);
    return typeof step === "object" && "reason" in step
      ? step
      : this.#done(decoded, step, treatment);
  }

  /** What comes of a step. */
  #done(decoded: SlowInstruction, step: Step, treatment: Treatment): Stop | undefined {
    const { operation } = decoded;
    if (step instanceof GuestFault || step instanceof DeviceAccess) {
      return this.failed(step, decoded);
    }
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
    this.#yielded = reached || this.priority.followed(decoded) ||
      operation === "port-io" && this.config.bus !== undefined || this.#yielded;
    return this.#yielded ? BUDGET_STOP : undefined;
  }

  #delivered(result: Stop | "delivered" | undefined): Stop | undefined {
    if (result !== "delivered") return result;
    if (!this.events.areMany) return undefined;
    this.#yielded = true;
    return BUDGET_STOP;
  }

  /** Does something wait for the end of an interrupt shadow? */
  get #awaits(): boolean {
    const { pendingDebug, nmiPending, breakpoints } = this.state;
    return this.#windowWanted || pendingDebug !== 0 || nmiPending || breakpoints.code.length > 0;
  }
}

/** The greatest power of two in a budget that a whole block might overrun: few lengths, so that regions are met again. */
function shortRegion(budget: number): number | undefined {
  return budget >= MAX_BLOCK ? undefined : 1 << Math.floor(Math.log2(Math.max(1, budget)));
}

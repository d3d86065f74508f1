// The event that a CPU delivers before its next instruction: one at most, as a VMCS has one field for it.
import { deliver, escalate } from "../../cpu/deliver.ts";
import type { Cpu } from "../../cpu/cpu.ts";
import { GuestFault } from "../../cpu/fault.ts";
import type { Event } from "../vcpu.ts";
import { DeviceAccess } from "./physical.ts";
import { guarded } from "./region_memory.ts";

/**
 * Events delivered before the caller gets a look: a handler that faults at its first instruction, on a stack of its own,
 * would go on for ever without an instruction retired.
 */
const MAX_DELIVERIES = 256;

export class Events {
  readonly #cpu: Cpu;
  /** The next one. */
  queued: Event | undefined;
  /** The queued event whose delivery came to a task switch that has left. */
  switching: Event | undefined;
  #deliveries = 0;

  constructor(cpu: Cpu) {
    this.#cpu = cpu;
  }

  /** Delivers the queued event through the guest's tables. After a fault it stays queued. */
  deliver(event: Event): "delivered" | GuestFault | DeviceAccess {
    const { state } = this.#cpu;
    state.breakpoints.met = 0;
    const failed = guarded(() => deliver(this.#cpu, event));
    if (failed instanceof GuestFault) return failed;
    this.queued = undefined;
    if (failed instanceof DeviceAccess) return failed;
    // A trap that MOV SS has put off is lost to a fault; breakpoints on the stack show at the handler's first instruction.
    state.pendingDebug = state.breakpoints.after();
    this.#deliveries++;
    return "delivered";
  }

  /** Is it time for somebody to look whether this will ever end? */
  get areMany(): boolean {
    return this.#deliveries % MAX_DELIVERIES === 0;
  }

  /**
   * A fault comes up while the queued event is delivered, and takes its place or makes a double fault of it: SDM vol. 3,
   * table 6-5. False: it is one too many.
   */
  replace(fault: GuestFault): boolean {
    const during = this.queued;
    // CR2 tells of the last page fault, also where a double fault takes its place (SDM vol. 3, 6.15, #PF).
    if (fault.address !== undefined) this.#cpu.state.setControl("cr2", fault.address);
    const next = during?.type === "exception" ? escalate(during.vector, fault) : fault;
    this.queued = next && faultEvent(next);
    return next !== undefined;
  }

  /** Delivers an event through a task gate, for the VMM. It stays queued after a fault, which may make a double one of it. */
  switchTask(event: Event): Event | undefined {
    const failed = guarded(() => deliver(this.#cpu, event));
    if (failed instanceof GuestFault) return faultEvent(failed);
    this.clear();
    return undefined;
  }

  clear(): void {
    this.switching = this.queued = undefined;
  }
}

/** The event that delivers a fault. */
export function faultEvent({ vector, errorCode, address }: GuestFault): Event {
  return {
    type: "exception",
    vector,
    ...(errorCode === undefined ? {} : { errorCode }),
    ...(address === undefined ? {} : { address }),
  };
}

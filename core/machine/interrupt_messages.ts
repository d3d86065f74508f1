// The messages by which local APICs and the I/O APIC interrupt CPUs, and who gets which (SDM vol. 3, 11.6.2).
import { DELIVERY } from "./devices/lapic_registers.ts";

/** One message. */
export interface InterruptMessage {
  /** One of `DELIVERY`. */
  readonly mode: number;
  readonly vector: number;
  readonly levelTriggered: boolean;
  readonly logical: boolean;
  /** APIC id, or logical destination. */
  readonly destination: number;
  /** Of 32 bits, as x2APICs send it; else of 8. */
  readonly wide: boolean;
}

/** A local APIC as others see it. */
export interface MessageTarget {
  /** Is it among those that a message names? */
  isNamed(message: Pick<InterruptMessage, "logical" | "destination" | "wide">): boolean;
  /** What it is doing: lowest priority goes to the least. 0 to 255. */
  readonly processorPriority: number;
  /** Does it take ordinary interrupts now? */
  readonly acceptsInterrupts: boolean;
  receive(message: Pick<InterruptMessage, "mode" | "vector" | "levelTriggered">): void;
}

/** Everybody who can be sent a message. */
export class InterruptMessages {
  readonly #targets: MessageTarget[] = [];

  join(target: MessageTarget): void {
    this.#targets.push(target);
  }

  /** Sends to whom the message names. */
  send(message: InterruptMessage): void {
    this.#deliver(this.#targets.filter((target) => target.isNamed(message)), message);
  }

  /** Sends to all, or to all but one. */
  broadcast(message: InterruptMessage, except?: MessageTarget): void {
    this.#deliver(this.#targets.filter((target) => target !== except), message);
  }

  #deliver(targets: readonly MessageTarget[], message: InterruptMessage): void {
    if (message.mode !== DELIVERY.Lowest) {
      for (const target of targets) target.receive(message);
      return;
    }
    // Who decides among equals is model-specific (11.6.2.4): here, the first.
    let chosen: MessageTarget | undefined;
    for (const target of targets) {
      if (!target.acceptsInterrupts) continue;
      if (!chosen || target.processorPriority < chosen.processorPriority) chosen = target;
    }
    chosen?.receive({ ...message, mode: DELIVERY.Fixed });
  }
}

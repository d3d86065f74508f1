// The interrupt command register: what a write to it sends, and to whom (SDM vol. 3, 11.6.1 and 11.12.9).
import type { InterruptMessage } from "../interrupt_messages.ts";
import { DELIVERY, deliveryMode, FIRST_VECTOR, ICR } from "./lapic_registers.ts";

/** What is sent. `illegal`: nothing, as the vector is the CPU's own; `nobody`: nothing that anybody heeds. */
export interface Command {
  readonly to: "named" | "self" | "all" | "others" | "nobody" | "illegal";
  readonly message: InterruptMessage;
}

/** By destination shorthand, ICR bits 19:18. */
const SHORTHANDS = ["named", "self", "all", "others"] as const;

/** `wide`: as an x2APIC has it, with a destination of 32 bits. */
export function readCommand(low: number, high: number, wide: boolean): Command {
  const mode = deliveryMode(low), vector = low & 0xff;
  const message = {
    mode,
    vector,
    levelTriggered: false,
    logical: (low & ICR.logical) !== 0,
    destination: wide ? high >>> 0 : high >>> 24,
    wide,
  };
  const vectored = mode === DELIVERY.Fixed || mode === DELIVERY.Lowest;
  if (vectored && vector < FIRST_VECTOR) return { to: "illegal", message };
  // The de-assert of an INIT told buses of old to arbitrate anew, and means nothing to a CPU.
  const deassert = (low & (ICR.levelTriggered | ICR.assert)) === ICR.levelTriggered;
  if (mode === DELIVERY.INIT && deassert) return { to: "nobody", message };
  return { to: SHORTHANDS[low >> 18 & 3] ?? "named", message };
}

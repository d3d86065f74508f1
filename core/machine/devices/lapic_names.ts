// Whom the destination of an interrupt message names (SDM vol. 3, 11.6.2 and 11.12.10).
import type { InterruptMessage } from "../interrupt_messages.ts";

/** What a local APIC goes by. */
export interface Names {
  readonly id: number;
  /** Logical destination, and its format. */
  readonly ldr: number;
  readonly dfr: number;
  readonly isX2apic: boolean;
}

/** Destinations that name everybody. */
const EVERYBODY = 0xff, EVERYBODY_WIDE = 0xffff_ffff;

/** Is this one named? */
export function names(message: InterruptMessage, { id, ldr, dfr, isX2apic }: Names): boolean {
  const { logical, destination, wide } = message;
  if (destination === (wide ? EVERYBODY_WIDE : EVERYBODY)) return true;
  if (!logical) return destination === id;
  if (isX2apic) {
    const own = logicalId(id);
    return destination >>> 16 === own >>> 16 && (destination & own & 0xffff) !== 0;
  }
  if (destination > EVERYBODY) return false;
  // Flat model: a bit each. Cluster model: cluster in the upper half, a bit each in the lower.
  if (dfr >>> 28 === 0xf) return (destination & ldr >>> 24) !== 0;
  return destination >> 4 === ldr >>> 28 && (destination & ldr >>> 24 & 0xf) !== 0;
}

/** Of an x2APIC it follows from its id: cluster in the upper half, a bit in the lower. */
export function logicalId(id: number): number {
  return (id >>> 4 << 16 | 1 << (id & 0xf)) >>> 0;
}

// Registers of the local APIC in its memory page (SDM vol. 3, table 11-1), and their fields.

/** Offsets; each register is 32 bits wide in a slot of 16 bytes. */
export const LAPIC_REGISTER = {
  ID: 0x020,
  Version: 0x030,
  TPR: 0x080,
  APR: 0x090,
  PPR: 0x0a0,
  EOI: 0x0b0,
  LDR: 0x0d0,
  DFR: 0x0e0,
  SVR: 0x0f0,
  /** 256 bits each, in eight slots. */
  ISR: 0x100,
  TMR: 0x180,
  IRR: 0x200,
  ESR: 0x280,
  ICRLow: 0x300,
  ICRHigh: 0x310,
  /** Local vector table, in the order of `LVT`. */
  LVT: 0x320,
  InitialCount: 0x380,
  CurrentCount: 0x390,
  DivideConfiguration: 0x3e0,
  /** x2APIC only. */
  SelfIPI: 0x3f0,
} as const;

/** Entries of the local vector table, in order of their offsets. */
export const LVT = { Timer: 0, Thermal: 1, Performance: 2, LINT0: 3, LINT1: 4, Error: 5 } as const;

/** Writable bits of each entry (SDM vol. 3, figure 11-8): vector, delivery mode, polarity, trigger, mask, timer mode. */
export const LVT_WRITABLE = [0x700ff, 0x107ff, 0x107ff, 0x1a7ff, 0x1a7ff, 0x100ff] as const;

export const LVT_MASKED = 0x10000;
/** Delivery modes, LVT and ICR bits 10:8. */
export const DELIVERY = {
  Fixed: 0,
  Lowest: 1,
  SMI: 2,
  NMI: 4,
  INIT: 5,
  StartUp: 6,
  ExtINT: 7,
} as const;

/** Bits 10:8. */
export function deliveryMode(entry: number): number {
  return (entry >> 8) & 7;
}

/** SVR bit 8: the APIC is enabled by software. */
export const SVR_ENABLE = 0x100;
/** SVR: spurious vector and enable; focus checking and EOI broadcast suppression are not there. */
export const SVR_WRITABLE = 0x1ff;

/** ESR bits (SDM vol. 3, figure 11-9). */
export const ESR = { SendIllegalVector: 0x20, ReceiveIllegalVector: 0x40, IllegalRegister: 0x80 };

/** Version 0x14 (integrated APIC), and the highest entry of the local vector table in bits 23:16. */
export const LAPIC_VERSION = 0x14 | LVT.Error << 16;

/** Fields of the interrupt command register, low half (SDM vol. 3, figure 11-12). */
export const ICR = {
  logical: 1 << 11,
  assert: 1 << 14,
  levelTriggered: 1 << 15,
  /** Bits that are kept; delivery status reads as idle. */
  writable: 0xccfff,
} as const;
/** Vectors below are the CPU's own. */
export const FIRST_VECTOR = 16;

/** Bits of IA32_APIC_BASE (SDM vol. 3, figure 11-26). */
export const APIC_BASE = { bootstrap: 1 << 8, x2apic: 1 << 10, enabled: 1 << 11 } as const;

// A local APIC by the instructions of its CPU: IA32_APIC_BASE, the timer's deadline, CR8, and in x2APIC mode all of its
// registers as MSRs (SDM vol. 3, 11.12).
import type { Lapic } from "./lapic.ts";
import { APIC_BASE, LAPIC_REGISTER as R, LVT_WRITABLE, SVR_WRITABLE } from "./lapic_registers.ts";

const MSR_APIC_BASE = 0x1b;
/** IA32_TSC_DEADLINE (11.5.4.1). */
const MSR_TSC_DEADLINE = 0x6e0;
/** Register at offset 16 n of the page is MSR 0x800 + n. */
const FIRST = 0x800, LAST = 0x8ff;

const BASE_FLAGS = BigInt(APIC_BASE.bootstrap | APIC_BASE.x2apic | APIC_BASE.enabled);

/** Bits that a write may set, by offset; what is not here can't be written. */
const WRITABLE: ReadonlyMap<number, bigint> = new Map<number, bigint>([
  [R.TPR, 0xffn],
  [R.EOI, 0n],
  [R.SVR, BigInt(SVR_WRITABLE)],
  [R.ESR, 0n],
  // Destination, shorthand, trigger, level, logical, mode and vector.
  [R.ICRLow, 0xffff_ffff_000c_cfffn],
  [R.InitialCount, 0xffff_ffffn],
  [R.DivideConfiguration, 0xbn],
  [R.SelfIPI, 0xffn],
  ...LVT_WRITABLE.map((bits, i): [number, bigint] => [R.LVT + 16 * i, BigInt(bits)]),
]);
/** Not there in x2APIC mode, or not to be read. */
const UNREADABLE: ReadonlySet<number> = new Set([R.EOI, R.APR, R.DFR, R.ICRHigh, R.SelfIPI]);

/** ICR of an interrupt to oneself. */
const TO_SELF = 1 << 18;

export class LapicMsrs {
  readonly #baseBits: bigint;

  /** `addressBits` of a physical address: above them APIC_BASE is reserved. */
  constructor(readonly lapic: Lapic, addressBits: number) {
    this.#baseBits = (1n << BigInt(addressBits)) - 0x1000n | BASE_FLAGS;
  }

  /** CR8. */
  get priorityClass(): number {
    return this.lapic.taskPriority >> 4;
  }
  set priorityClass(value: number) {
    this.lapic.taskPriority = value << 4;
  }

  /** Undefined: none of the APIC's, or it can't be read. */
  readMsr(msr: number): bigint | undefined {
    const { lapic } = this;
    if (msr === MSR_APIC_BASE) return lapic.base;
    if (msr === MSR_TSC_DEADLINE) return lapic.timer.deadline;
    if (msr < FIRST || msr > LAST || !lapic.isX2apic) return undefined;
    const offset = (msr - FIRST) * 16;
    if (UNREADABLE.has(offset)) return undefined;
    const low = lapic.register(offset);
    if (low === undefined) return undefined;
    const high = offset === R.ICRLow ? lapic.register(R.ICRHigh) ?? 0 : 0;
    return BigInt(high) << 32n | BigInt(low >>> 0);
  }

  /** False: #GP. Undefined: none of the APIC's. */
  writeMsr(msr: number, value: bigint): boolean | undefined {
    const { lapic } = this;
    if (msr === MSR_APIC_BASE) return this.#writeBase(value);
    if (msr === MSR_TSC_DEADLINE) {
      lapic.timer.deadline = value;
      return true;
    }
    if (msr < FIRST || msr > LAST) return undefined;
    const offset = (msr - FIRST) * 16;
    const writable = WRITABLE.get(offset);
    if (!lapic.isX2apic || writable === undefined || value & ~writable) return false;
    const low = Number(value & 0xffff_ffffn);
    if (offset === R.ICRLow) lapic.command(low, Number(value >> 32n));
    else if (offset === R.SelfIPI) this.#toSelf(low);
    else lapic.setRegister(offset, low);
    return true;
  }

  /** It leaves ICR as it is (11.12.11). */
  #toSelf(vector: number): void {
    const low = this.lapic.register(R.ICRLow) ?? 0, high = this.lapic.register(R.ICRHigh) ?? 0;
    this.lapic.command(TO_SELF | vector, 0);
    this.lapic.keepCommand(low, high);
  }

  /** Which modes follow which: SDM vol. 3, figure 11-27. */
  #writeBase(value: bigint): boolean {
    if (value & ~this.#baseBits) return false;
    const enabled = (value & BigInt(APIC_BASE.enabled)) !== 0n;
    const x2apic = (value & BigInt(APIC_BASE.x2apic)) !== 0n;
    if (x2apic && (!enabled || !this.lapic.isPresent)) return false;
    if (this.lapic.isX2apic && enabled && !x2apic) return false;
    this.lapic.base = value;
    return true;
  }
}

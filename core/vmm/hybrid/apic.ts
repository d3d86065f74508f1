// The local APIC as a monitor sees it: what PV EOI wants to know, interrupts from hypercalls, and its registers that are
// not in its memory page (TPR as CR8, the deadline as an MSR).
import type { Vcpu } from "../../engine/vcpu.ts";
import { DELIVERY, deliveryMode, LAPIC_REGISTER } from "../../machine/devices/lapic_registers.ts";
import type { Lapic } from "../../machine/devices/lapic.ts";
import type { HypercallTarget } from "./hypercalls.ts";
import type { EoiTarget } from "./pv_eoi.ts";

/** IA32_TSC_DEADLINE (SDM vol. 3, 11.5.4.1). */
export const MSR_TSC_DEADLINE = 0x6e0;

/** ISR, TMR and IRR are each eight registers of 32 vectors, 16 bytes apart. */
const SET_WORDS = 8;
const SET_STRIDE = 0x10;
const FIRST_VECTOR = 16;

/** What hypercalls may send. */
function messageOf(icr: bigint): { readonly mode: number; readonly vector: number } | undefined {
  const low = Number(BigInt.asUintN(32, icr));
  const vector = low & 0xff, mode = deliveryMode(low);
  const sent = mode === DELIVERY.NMI || mode === DELIVERY.Fixed && vector >= FIRST_VECTOR;
  return sent ? { mode, vector } : undefined;
}

/** The APIC of one CPU. */
export class MonitoredApic implements EoiTarget, HypercallTarget {
  /** KVM_HC_KICK_CPU named it: its halt is over. */
  kicked = false;

  /** `all` are those of the machine, and get this one. */
  constructor(readonly lapic: Lapic, readonly all: MonitoredApic[] = []) {
    all.push(this);
  }

  get soleInService(): boolean {
    if (this.lapic.inService === undefined) return false;
    return this.#members(LAPIC_REGISTER.ISR) === 1 && !this.isAsked;
  }

  /** Does an interrupt wait, whatever is in service? */
  get isAsked(): boolean {
    return this.#members(LAPIC_REGISTER.IRR) > 0;
  }

  endOfInterrupt(): void {
    this.lapic.endOfInterrupt();
  }

  sendIpi(apicId: number, icr: bigint): boolean {
    const target = this.#byId(apicId), message = messageOf(icr);
    if (!target || !message) return false;
    target.lapic.receive({ ...message, levelTriggered: false });
    return true;
  }

  kick(apicId: number): void {
    const target = this.#byId(apicId);
    if (target && target !== this) target.kicked = true;
  }

  #byId(apicId: number): MonitoredApic | undefined {
    return this.all.find(({ lapic }) => lapic.isPresent && lapic.id === apicId);
  }

  /** How many vectors are in ISR or IRR. */
  #members(base: number): number {
    let count = 0;
    for (let i = 0; i < SET_WORDS; i++) {
      for (let word = this.lapic.read(base + i * SET_STRIDE, 4); word !== 0; count++) {
        word &= word - 1;
      }
    }
    return count;
  }
}

/** Those of all CPUs where they are the engine's: CPU n has id n, as nobody here sees whether its guest has changed that. */
export class LowerApics implements HypercallTarget {
  readonly #vcpus: Vcpu[] = [];

  /** In the order of their numbers. */
  join(vcpu: Vcpu): void {
    this.#vcpus.push(vcpu);
  }

  sendIpi(apicId: number, icr: bigint): boolean {
    const message = messageOf(icr);
    return !!message && (this.#vcpus[0]?.lower?.interrupts.send(apicId, message) ?? false);
  }

  kick(apicId: number): void {
    this.#vcpus[apicId]?.lower?.halts.end();
  }
}

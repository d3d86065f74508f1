// PV EOI: instead of ending an interrupt by a write to the APIC, which leaves the guest, the guest clears a bit in its own
// memory; the VMM learns of it the next time that it runs. Linux, Documentation/virt/kvm/x86/msr.rst, MSR_KVM_EOI_EN.
import type { Gpa } from "../../base/address.ts";
import { type GuestMemory, GuestMemoryError } from "../../machine/memory.ts";
import { PV_EOI } from "./kvm_abi.ts";

/** What this needs of a local APIC. */
export interface EoiTarget {
  /** Is exactly one interrupt in service, and none waiting? Only then may its end go unseen for a while. */
  readonly soleInService: boolean;
  /** Ends the interrupt in service. */
  endOfInterrupt(): void;
}

/** The protocol's two halves. */
export class PvEoi {
  #address: Gpa | undefined;
  /** The bit was set by the VMM, and what became of it is not yet known. */
  #offered = false;

  /** Offers nothing until enabled. */
  constructor(readonly memory: GuestMemory, readonly apic: EoiTarget) {}

  get offered(): boolean {
    return this.#offered;
  }

  /** Uses the word at this address, or none. */
  enable(address: Gpa | undefined): void {
    this.#address = address;
    this.#offered = false;
  }

  /** Whenever the VMM gets control: has the guest ended its interrupt? If not, the offer is taken back. */
  fromGuest(): void {
    if (this.#address === undefined || !this.#offered) return;
    this.#offered = false;
    const word = this.memory.readU32(this.#address);
    if (word & PV_EOI.PENDING_BIT) this.memory.writeU32(this.#address, word & ~PV_EOI.PENDING_BIT);
    else this.apic.endOfInterrupt();
  }

  /** Before every entry: may the guest end the interrupt in service by itself? */
  toGuest(): void {
    if (this.#address === undefined || !this.apic.soleInService) return;
    const word = this.memory.readU32(this.#address);
    this.memory.writeU32(this.#address, word | PV_EOI.PENDING_BIT);
    this.#offered = true;
  }
}

/** Is there RAM for a structure at this address, aligned so? */
export function isSharedRam(
  memory: GuestMemory,
  address: Gpa,
  size: number,
  alignment: number,
): boolean {
  if (address % alignment !== 0) return false;
  try {
    memory.read(address, size);
    return true;
  } catch (error) {
    if (error instanceof GuestMemoryError) return false;
    throw error;
  }
}

// Interrupt controllers in the kernel (api.rst, KVM_CREATE_IRQCHIP): PIC, I/O APIC and local APICs. The PIT stays the board's: its
// time is the board's, which skips what a guest sleeps.
import type { InterruptLine } from "../../machine/device.ts";
import type { LineUse } from "../../machine/controllers.ts";
import { PAGE_SIZE } from "../../base/address.ts";
import { IOAPIC_BASE, LAPIC_BASE } from "../../guest/layout.ts";
import type { Hidden } from "../../trace/trace.ts";
import { IOAPIC_LENGTH } from "../../machine/devices/ioapic.ts";
import {
  ELCR_LENGTH,
  ELCR_PORT,
  PIC_LENGTH,
  PIC_MASTER_PORT,
  PIC_SLAVE_PORT,
} from "../../machine/devices/pic.ts";
import { SubjectLacks } from "../lacks.ts";
import type { LowerInterrupts } from "../vcpu.ts";
import {
  KVM_CAP,
  KVM_IRQ_ROUTING_IRQCHIP,
  KVM_IRQCHIP,
  KVM_X86_QUIRK_LAPIC_MMIO_HOLE,
  STRUCT,
} from "./abi.ts";
import { EventLine } from "./event_line.ts";
import type { KvmMachine } from "./machine.ts";
import type { KvmSystem } from "./system.ts";

const INPUTS = 24, PIC_INPUTS = 16, SLAVE_FIRST = 8;
/** What the PIC calls its cascade is the timer on the I/O APIC, as the board has it (machine/controllers.ts). */
const TIMER = 0, CASCADE = 2;
/** Of a PIC's mask. */
const ALL_LINES = 0xff;
/** Bit of an I/O APIC entry: level-triggered (82093AA datasheet, 3.2.4). */
const TRIGGER_LEVEL = 1 << 15;
/** A message: destination from bit 12 of the address on, mode from bit 8 of the data on (SDM vol. 3, 11.11). */
const DESTINATION_SHIFT = 12, MODE_SHIFT = 8, MAX_DESTINATION = 0xff;

const HIDDEN_DEVICES: Hidden["devices"] = [
  { kind: "io", device: "pic", first: PIC_MASTER_PORT, last: PIC_MASTER_PORT + PIC_LENGTH - 1 },
  { kind: "io", device: "pic", first: PIC_SLAVE_PORT, last: PIC_SLAVE_PORT + PIC_LENGTH - 1 },
  { kind: "io", device: "pic", first: ELCR_PORT, last: ELCR_PORT + ELCR_LENGTH - 1 },
  { kind: "mmio", device: "ioapic", first: IOAPIC_BASE, last: IOAPIC_BASE + IOAPIC_LENGTH - 1 },
  { kind: "mmio", device: "lapic", first: LAPIC_BASE, last: LAPIC_BASE + PAGE_SIZE - 1 },
];

/** What is needed of the host, by KVM's names. */
const NEEDED: readonly (keyof typeof KVM_CAP)[] = [
  "IRQCHIP",
  "IRQ_ROUTING",
  "SIGNAL_MSI",
  "ENFORCE_PV_FEATURE_CPUID",
];

/** Throws `SubjectLacks` where the kernel can't have them. */
export function requireIrqchip(system: KvmSystem, irqfd: boolean): void {
  const missing = [...NEEDED, ...irqfd ? ["IRQFD" as const] : []]
    .filter((name) => system.capability(name) <= 0).map((name) => `KVM_CAP_${name}`);
  if (missing.length > 0) throw new SubjectLacks(`This kernel's KVM lacks ${missing.join(", ")}`);
}

export interface ControllerOptions {
  /** Have the CPUs local APICs? */
  readonly localApics: boolean;
  /** Are lines that devices hold until they are acknowledged raised by event counters? */
  readonly irqfd: boolean;
}

/** Those of one machine. */
export class KernelControllers implements LowerInterrupts {
  readonly #machine: KvmMachine;
  readonly #irqfd: boolean;
  readonly #lines: EventLine[] = [];

  /** What of them never gets to user space. */
  readonly hidden: Pick<Hidden, "devices" | "injections">;

  /** Before the machine has a CPU. */
  constructor(machine: KvmMachine, { localApics, irqfd }: ControllerOptions) {
    this.#machine = machine;
    this.#irqfd = irqfd;
    this.hidden = {
      devices: HIDDEN_DEVICES.filter(({ device }) => localApics || device !== "lapic"),
      injections: ["external-interrupt", "nmi"],
    };
    if (!localApics && machine.system.capability("DISABLE_QUIRKS") > 0) {
      machine.enable(KVM_CAP.DISABLE_QUIRKS, KVM_X86_QUIRK_LAPIC_MMIO_HOLE);
    }
    machine.ioctlPlain("KVM_CREATE_IRQCHIP");
    machine.ioctlWith("KVM_SET_GSI_ROUTING", routing());
    // As the board's PIC: until it is programmed, which opens all, nothing comes through.
    for (const chip of [KVM_IRQCHIP.PIC_MASTER, KVM_IRQCHIP.PIC_SLAVE]) this.#mask(chip);
  }

  line(input: number, use?: LineUse): InterruptLine {
    if (!this.#irqfd || use !== "acknowledged") return { set: (level) => this.raise(input, level) };
    const line = new EventLine(this.#machine, this, input);
    this.#lines.push(line);
    return line;
  }

  /** An input gets a level. */
  raise(input: number, level: boolean): void {
    const { size, fields } = STRUCT.kvm_irq_level;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.irq, input, true);
    view.setUint32(fields.level, level ? 1 : 0, true);
    this.#machine.ioctlWith("KVM_IRQ_LINE", new Uint8Array(view.buffer));
  }

  send(apicId: number, { mode, vector }: { readonly mode: number; readonly vector: number }) {
    if (apicId > MAX_DESTINATION) return false;
    const { size, fields } = STRUCT.kvm_msi;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.address_lo, LAPIC_BASE | apicId << DESTINATION_SHIFT, true);
    view.setUint32(fields.data, mode << MODE_SHIFT | vector, true);
    return this.#machine.ioctlWith("KVM_SIGNAL_MSI", new Uint8Array(view.buffer)) > 0;
  }

  /** Does a pin behind an input go by the level? */
  isLevelTriggered(input: number): boolean {
    const { "chip.pic.elcr": elcr, "chip.ioapic.redirtbl": table } = STRUCT.kvm_irqchip.fields;
    if (input < PIC_INPUTS) {
      const slave = input >= SLAVE_FIRST;
      const pic = this.#chip(slave ? KVM_IRQCHIP.PIC_SLAVE : KVM_IRQCHIP.PIC_MASTER);
      if (pic.getUint8(elcr) >> (input % SLAVE_FIRST) & 1) return true;
    }
    const pin = input === TIMER ? CASCADE : input;
    const entry = this.#chip(KVM_IRQCHIP.IOAPIC).getUint32(table + 8 * pin, true);
    return (entry & TRIGGER_LEVEL) !== 0;
  }

  #chip(number: number): DataView<ArrayBuffer> {
    const { size, fields } = STRUCT.kvm_irqchip;
    const view = new DataView(new ArrayBuffer(size));
    view.setUint32(fields.chip_id, number, true);
    this.#machine.ioctlWith("KVM_GET_IRQCHIP", new Uint8Array(view.buffer));
    return view;
  }

  #mask(pic: number): void {
    const view = this.#chip(pic);
    view.setUint8(STRUCT.kvm_irqchip.fields["chip.pic.imr"], ALL_LINES);
    this.#machine.ioctlWith("KVM_SET_IRQCHIP", new Uint8Array(view.buffer));
  }

  /** May something that has been raised not have arrived yet? */
  get unsettled(): boolean {
    return this.#lines.some((line) => line.unsettled);
  }

  /** Whatever has been raised so far has arrived when this returns. */
  settle(): void {
    for (const line of this.#lines) line.settle();
  }

  /** To be called now and then: the guest may have changed how a pin is triggered. */
  look(): void {
    for (const line of this.#lines) line.look();
  }

  dispose(): void {
    for (const line of this.#lines.splice(0)) line.dispose();
  }
}

/** Inputs as `InterruptInputs` has them: KVM's own routing knows nothing of the timer's place. */
function routing(): Uint8Array<ArrayBuffer> {
  const routes: { input: number; chip: number; pin: number }[] = [];
  for (let input = 0; input < INPUTS; input++) {
    if (input < PIC_INPUTS && input !== CASCADE) {
      const slave = input >= SLAVE_FIRST;
      const chip = slave ? KVM_IRQCHIP.PIC_SLAVE : KVM_IRQCHIP.PIC_MASTER;
      routes.push({ input, chip, pin: input % SLAVE_FIRST });
    }
    const pin = input === TIMER ? CASCADE : input;
    routes.push({ input, chip: KVM_IRQCHIP.IOAPIC, pin });
  }
  const { kvm_irq_routing: head, kvm_irq_routing_entry: entry } = STRUCT;
  const view = new DataView(new ArrayBuffer(head.size + routes.length * entry.size));
  view.setUint32(head.fields.nr, routes.length, true);
  routes.forEach(({ input, chip, pin }, n) => {
    const at = head.fields.entries + n * entry.size;
    view.setUint32(at + entry.fields.gsi, input, true);
    view.setUint32(at + entry.fields.type, KVM_IRQ_ROUTING_IRQCHIP, true);
    view.setUint32(at + entry.fields["u.irqchip.irqchip"], chip, true);
    view.setUint32(at + entry.fields["u.irqchip.pin"], pin, true);
  });
  return new Uint8Array(view.buffer);
}

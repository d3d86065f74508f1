// The interrupt controllers of a board: a PIC, and where there are local APICs or an I/O APIC, those too. Or none of its own: its
// lines lead to controllers below the VMM, whose registers nobody here sees.
import type { AlarmClock } from "../base/clock.ts";
import { IOAPIC_BASE } from "../guest/layout.ts";
import type { Bus } from "./bus.ts";
import { CpuBus } from "./cpu_bus.ts";
import type { InterruptController, InterruptLine } from "./device.ts";
import { IoApic, IOAPIC_INPUTS, IOAPIC_LENGTH } from "./devices/ioapic.ts";
import { Lapic } from "./devices/lapic.ts";
import {
  ELCR_LENGTH,
  ELCR_PORT,
  Pic,
  PIC_LENGTH,
  PIC_MASTER_PORT,
  PIC_SLAVE_PORT,
} from "./devices/pic.ts";
import { InterruptMessages } from "./interrupt_messages.ts";

/**
 * How a line is used. `acknowledged`: its device holds it until its driver has acknowledged what it was raised for, and raises it
 * anew for what comes then, so that whoever is told of each rise misses nothing.
 */
export type LineUse = "acknowledged";

/**
 * Inputs of controllers below the VMM, wired as a PC's: 0 to 23 are the I/O APIC's, 0 to 15 without 2 the PIC's too; but the PIC's
 * input 0, the timer, is 2 of the I/O APIC.
 */
export interface InterruptInputs {
  line(input: number, use?: LineUse): InterruptLine;
}

/** What interrupts one CPU. */
export interface CpuInterrupts {
  readonly id: number;
  /** Is there a local APIC, the board's or one below the VMM? */
  readonly hasLapic: boolean;
  /** The board's. */
  readonly lapic: Lapic | undefined;
  /** What the CPU asks for interrupts. */
  readonly interrupts: InterruptController;
  /** Where its accesses go. */
  readonly bus: Bus;
}

export interface Controllers {
  /** Interrupt request line 0 to 15, to whatever controllers there are. Throws `RangeError` for any other, and for 2. */
  line(irq: number, use?: LineUse): InterruptLine;
  /** By the input of the I/O APIC, which has more of them; undefined: there is no such input. */
  input(n: number): InterruptLine | undefined;
  /** To be called once for each CPU. */
  cpu(id: number): CpuInterrupts;
}

export interface ControllerOptions {
  readonly bus: Bus;
  readonly clock: AlarmClock;
  /** Has each CPU a local APIC? */
  readonly lapic: boolean;
  readonly ioapic: boolean;
}

/** Inputs of the PIC that come out elsewhere on the I/O APIC: the timer, as the MADT says. */
const TIMER_IRQ = 0, TIMER_INPUT = 2;
/** Taken by the PIC's cascade. */
const CASCADE = 2;
const PIC_LINES = 16;

function isIsa(n: number): boolean {
  return n !== CASCADE && n < PIC_LINES;
}

/** The board's own, on its bus; throws where that is taken. */
export function ownControllers({ bus, clock, lapic, ioapic }: ControllerOptions): Controllers {
  const pic = new Pic();
  bus.attach("port", PIC_MASTER_PORT, PIC_LENGTH, "pic", pic.master);
  bus.attach("port", PIC_SLAVE_PORT, PIC_LENGTH, "pic", pic.slave);
  bus.attach("port", ELCR_PORT, ELCR_LENGTH, "pic", pic.elcr);
  const messages = new InterruptMessages();
  const io = ioapic ? new IoApic() : undefined;
  if (io) {
    io.deliver = (message) => messages.send(message);
    bus.attach("memory", IOAPIC_BASE, IOAPIC_LENGTH, "ioapic", io);
  }
  const line = (irq: number) => isaLine(pic, io, irq);
  return {
    line,
    input: (n) => isIsa(n) ? line(n) : n < IOAPIC_INPUTS ? io?.line(n) : undefined,
    cpu: (id) => {
      if (!lapic) return { id, hasLapic: false, lapic: undefined, interrupts: pic, bus };
      const own = new Lapic({ clock, id, messages, ...(id === 0 ? { pic } : {}) });
      if (io) own.onEoi = (vector) => io.endOfInterrupt(vector);
      const seen = new CpuBus(bus, "lapic", own);
      return { id, hasLapic: true, lapic: own, interrupts: own, bus: seen };
    },
  };
}

/** An ISA interrupt line, wired to every controller there is. */
function isaLine(pic: Pic, ioapic: IoApic | undefined, irq: number): InterruptLine {
  const first = pic.line(irq);
  if (!ioapic) return first;
  const second = ioapic.line(irq === TIMER_IRQ ? TIMER_INPUT : irq);
  return {
    set: (level) => {
      first.set(level);
      second.set(level);
    },
  };
}

/** It delivers by itself. */
const BELOW: InterruptController = {
  pending: () => false,
  acknowledge() {
    throw new Error("The controllers below the VMM have nothing for it to deliver");
  },
};

/** Those below the VMM. */
export function lowerControllers(
  inputs: InterruptInputs,
  { bus, lapic }: Pick<ControllerOptions, "bus" | "lapic">,
): Controllers {
  return {
    line: (irq, use) => {
      if (!Number.isInteger(irq) || irq < 0 || !isIsa(irq)) {
        throw new RangeError(`Not an interrupt line of a PC: ${irq}`);
      }
      return inputs.line(irq, use);
    },
    input: (n) => n < IOAPIC_INPUTS ? inputs.line(n) : undefined,
    cpu: (id) => ({ id, hasLapic: lapic, lapic: undefined, interrupts: BELOW, bus }),
  };
}

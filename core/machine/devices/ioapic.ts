// The I/O APIC (82093AA data sheet; SDM vol. 3, 11.8.4 for what becomes of its messages): 24 inputs, each with an entry that
// says which vector the local APIC gets for it.
import type { AccessSize, Device, DeviceState, InterruptLine } from "../device.ts";
import type { InterruptMessage } from "../interrupt_messages.ts";
import { restored } from "../saved_state.ts";
import { DELIVERY, deliveryMode } from "./lapic_registers.ts";

/** Bytes of its memory that answer. */
export const IOAPIC_LENGTH = 0x1000;
export const IOAPIC_INPUTS = 24;
/** In the MADT too (`guest/loaders/acpi.ts`). */
const ID = 1;

/** Registers of the window: select, data. */
const SELECT = 0x00, WINDOW = 0x10;
/** Registers behind it. */
const R = { id: 0, version: 1, arbitration: 2, table: 0x10 } as const;
/** Version 0x11, and the highest entry in bits 23:16. */
const VERSION = 0x11 | (IOAPIC_INPUTS - 1) << 16;

/** Low half of an entry. */
const VECTOR = 0xff, LOGICAL = 1 << 11, REMOTE_IRR = 1 << 14;
const LEVEL = 1 << 15, MASKED = 1 << 16, WRITABLE = 0x1afff;
/** Delivery modes that it sends; there is no system management mode, and the PIC has a way of its own. */
const SENT: readonly number[] = [DELIVERY.Fixed, DELIVERY.Lowest, DELIVERY.NMI, DELIVERY.INIT];
/** Delivery mode bits that are clear in those that bring a vector. */
const VECTOR_MODES = 0x600;
/** High half: the destination, bits 31:24. */
const DESTINATION = 0xff000000;

export class IoApic implements Device {
  #state = {
    id: ID,
    select: 0,
    low: new Array<number>(IOAPIC_INPUTS).fill(MASKED),
    high: new Array<number>(IOAPIC_INPUTS).fill(0),
    /** Levels of the inputs, a bit each. */
    lines: 0,
  };

  /** Where its messages go. */
  deliver: (message: InterruptMessage) => void = () => {};

  /** One of the inputs; any level of the others is ignored. */
  line(n: number): InterruptLine {
    return { set: (level) => this.#set(n, level) };
  }

  #set(n: number, level: boolean): void {
    if (n < 0 || n >= IOAPIC_INPUTS) return;
    const before = this.#asserted(n);
    this.#state.lines = level ? this.#state.lines | 1 << n : this.#state.lines & ~(1 << n);
    if (level && (!before || this.#low(n) & LEVEL)) this.#request(n);
  }

  #low(n: number): number {
    return this.#state.low[n] ?? MASKED;
  }

  /** Lines of the board say whether they ask: what voltage that is, and so an entry's polarity, makes no difference. */
  #asserted(n: number): boolean {
    return (this.#state.lines >>> n & 1) !== 0;
  }

  #request(n: number): void {
    const low = this.#low(n);
    if (low & (MASKED | REMOTE_IRR)) return;
    const mode = deliveryMode(low);
    if (!SENT.includes(mode)) return;
    // Only what has an end can be waited for.
    const levelTriggered = (low & LEVEL) !== 0 && (low & VECTOR_MODES) === 0;
    if (levelTriggered) this.#state.low[n] = low | REMOTE_IRR;
    this.deliver({
      mode,
      vector: low & VECTOR,
      levelTriggered,
      logical: (low & LOGICAL) !== 0,
      destination: (this.#state.high[n] ?? 0) >>> 24,
      wide: false,
    });
  }

  /** The local APIC has ended an interrupt: level-triggered inputs with its vector are asked again. */
  endOfInterrupt(vector: number): void {
    for (let n = 0; n < IOAPIC_INPUTS; n++) {
      const low = this.#low(n);
      if ((low & REMOTE_IRR) === 0 || (low & VECTOR) !== vector) continue;
      this.#state.low[n] = low & ~REMOTE_IRR;
      if (this.#asserted(n)) this.#request(n);
    }
  }

  /** Registers are read as aligned 32-bit words; a smaller access sees the low bytes. */
  read(offset: number, size: AccessSize): number {
    const value = offset === SELECT
      ? this.#state.select
      : offset === WINDOW
      ? this.#register(this.#state.select)
      : 0;
    return size === 4 ? value >>> 0 : (value & (2 ** (8 * size) - 1)) >>> 0;
  }

  #register(index: number): number {
    const { id, low, high } = this.#state;
    switch (index) {
      case R.id:
      case R.arbitration:
        return id << 24;
      case R.version:
        return VERSION;
      default: {
        const entry = index - R.table >> 1;
        return (index & 1 ? high[entry] : low[entry]) ?? 0;
      }
    }
  }

  write(offset: number, size: AccessSize, value: number): void {
    if (offset === SELECT) this.#state.select = value & 0xff;
    else if (offset === WINDOW && size === 4) this.#writeRegister(this.#state.select, value);
  }

  #writeRegister(index: number, value: number): void {
    const s = this.#state;
    if (index === R.id) s.id = value >>> 24 & 0xf;
    const n = index - R.table >> 1;
    if (index < R.table || n >= IOAPIC_INPUTS) return;
    if (index & 1) {
      s.high[n] = (value & DESTINATION) >>> 0;
      return;
    }
    const remote = value & LEVEL ? this.#low(n) & REMOTE_IRR : 0;
    s.low[n] = value & WRITABLE | remote;
    // An input that is active when its entry is unmasked asks at once, if it is level-triggered.
    if (value & LEVEL && this.#asserted(n)) this.#request(n);
  }

  save(): DeviceState {
    return structuredClone(this.#state);
  }
  restore(state: DeviceState): void {
    this.#state = restored(this.#state, state);
  }
}

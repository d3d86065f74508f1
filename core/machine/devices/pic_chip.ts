// One 8259A interrupt controller; `pic.ts` makes the PC's pair of them. Register and command names, and the behaviour of
// each, are those of Intel's data sheet (order number 231468).
import type { DeviceState } from "../device.ts";
import { restored } from "../saved_state.ts";
import { ByteDevice, OPEN_BYTE } from "./byte_device.ts";

/** The input that stands in for an interrupt whose request is gone by the time it is acknowledged. */
const SPURIOUS = 7;

const ICW1 = 0x10, ICW1_IC4 = 1, ICW1_SINGLE = 2, ICW1_LEVEL = 8;
const ICW4_AEOI = 2, ICW4_FULLY_NESTED = 0x10;
const OCW3 = 0x08, OCW3_READ_ISR = 1, OCW3_READ = 2, OCW3_POLL = 4;
const OCW3_SPECIAL_MASK = 0x20, OCW3_SET_SPECIAL_MASK = 0x40;
/** OCW2 bits 7:5. */
const EOI_ROTATE_AUTO_CLEAR = 0, EOI = 1, EOI_SPECIFIC = 3, EOI_ROTATE_AUTO_SET = 4;
const EOI_ROTATE = 5, SET_PRIORITY = 6, EOI_ROTATE_SPECIFIC = 7;

const RESET = {
  /** Levels of the inputs, as wired. */
  lines: 0,
  /** Requests. Edge-triggered ones are latched while their input stays high, as the data sheet has it. */
  irr: 0,
  imr: 0,
  isr: 0,
  /** Edge/level control register of the chip set: 1 is level. */
  elcr: 0,
  vectorBase: 0,
  /** Initialization word expected next at the odd port: 2, 3 or 4; 0 when done, 1 before the first ICW1. */
  expects: 1,
  icw1: 0,
  icw4: 0,
  /** The input with the lowest priority. */
  lowest: 7,
  readIsr: false,
  poll: false,
  specialMask: false,
  rotateOnAuto: false,
};

export class PicChip extends ByteDevice {
  #state = { ...RESET };

  /**
   * `output` is told the level of INT after every change. `cascade` has a bit for every input that another chip drives;
   * `elcrWritable` for every input that can be made level-triggered.
   */
  constructor(
    readonly output: (level: boolean) => void,
    readonly cascade: number,
    readonly elcrWritable: number,
  ) {
    super();
  }

  /** A change on input `n`. */
  setLine(n: number, level: boolean): void {
    const s = this.#state;
    const bit = 1 << n;
    const rose = level && (s.lines & bit) === 0;
    s.lines = level ? s.lines | bit : s.lines & ~bit;
    if (!level) s.irr &= ~bit;
    else if (rose || this.#isLevel(bit)) s.irr |= bit;
    this.update();
  }

  /** Is INT asserted? */
  get asserted(): boolean {
    return this.#highest() !== undefined;
  }

  /** An INTA sequence: the input taken, and its vector. With nothing to take, the spurious one. */
  acknowledge(): { input: number; vector: number } {
    const input = this.#highest();
    if (input !== undefined) this.#take(input);
    const n = input ?? SPURIOUS;
    return { input: n, vector: this.#state.vectorBase | n };
  }

  /** Writes through the chip set's edge/level register. */
  get elcr(): number {
    return this.#state.elcr;
  }
  set elcr(value: number) {
    this.#state.elcr = value & this.elcrWritable;
    this.update();
  }

  /** Offset 0: IRR, ISR or the poll word. Offset 1: the mask. */
  protected readByte(offset: number): number {
    const s = this.#state;
    if (offset > 1) return OPEN_BYTE;
    if (s.poll) {
      s.poll = false;
      return this.#pollWord();
    }
    if (offset === 1) return s.imr;
    return s.readIsr ? s.isr : s.irr;
  }

  protected writeByte(offset: number, value: number): void {
    if (offset > 1) return;
    if (offset === 1) this.#writeOdd(value);
    else if (value & ICW1) this.#initialize(value);
    else if (value & OCW3) this.#operate(value);
    else this.#endOfInterrupt(value);
    this.update();
  }

  /** Tells INT. */
  update(): void {
    this.output(this.asserted);
  }

  #isLevel(bit: number): boolean {
    return (this.#state.icw1 & ICW1_LEVEL) !== 0 || (this.#state.elcr & bit) !== 0;
  }

  #initialize(value: number): void {
    const { lines, elcr, vectorBase } = this.#state;
    // Edge sensing starts anew: an input that is high must fall and rise to request (data sheet, ICW1, a).
    this.#state = { ...RESET, lines, elcr, vectorBase, icw1: value, expects: 2 };
    for (let n = 0; n < 8; n++) {
      if (this.#isLevel(1 << n)) this.#state.irr |= lines & (1 << n);
    }
  }

  #writeOdd(value: number): void {
    const s = this.#state;
    const needs4 = (s.icw1 & ICW1_IC4) !== 0;
    switch (s.expects) {
      case 2:
        s.vectorBase = value & 0xf8;
        s.expects = s.icw1 & ICW1_SINGLE ? (needs4 ? 4 : 0) : 3;
        break;
      case 3: // Which input the slave is on: wired, so it is not looked at.
        s.expects = needs4 ? 4 : 0;
        break;
      case 4:
        s.icw4 = value;
        s.expects = 0;
        break;
      default:
        s.imr = value;
    }
  }

  #operate(value: number): void {
    const s = this.#state;
    if (value & OCW3_POLL) s.poll = true;
    else if (value & OCW3_READ) s.readIsr = (value & OCW3_READ_ISR) !== 0;
    if (value & OCW3_SET_SPECIAL_MASK) s.specialMask = (value & OCW3_SPECIAL_MASK) !== 0;
  }

  #endOfInterrupt(value: number): void {
    const s = this.#state;
    const named = value & 7;
    switch (value >> 5) {
      case EOI:
      case EOI_ROTATE: {
        // In special mask mode a masked interrupt in service is not cleared by a non-specific EOI.
        const highest = this.#first(s.specialMask ? s.isr & ~s.imr : s.isr);
        if (highest === undefined) break;
        s.isr &= ~(1 << highest);
        if (value >> 5 === EOI_ROTATE) s.lowest = highest;
        break;
      }
      case EOI_SPECIFIC:
        s.isr &= ~(1 << named);
        break;
      case EOI_ROTATE_SPECIFIC:
        s.isr &= ~(1 << named);
        s.lowest = named;
        break;
      case SET_PRIORITY:
        s.lowest = named;
        break;
      case EOI_ROTATE_AUTO_SET:
        s.rotateOnAuto = true;
        break;
      case EOI_ROTATE_AUTO_CLEAR:
        s.rotateOnAuto = false;
        break;
    }
  }

  #pollWord(): number {
    const input = this.#highest();
    if (input === undefined) return 0;
    this.#take(input);
    this.update();
    return 0x80 | input;
  }

  #take(input: number): void {
    const s = this.#state;
    const bit = 1 << input;
    if (!this.#isLevel(bit)) s.irr &= ~bit;
    if (s.icw4 & ICW4_AEOI) {
      if (s.rotateOnAuto) s.lowest = input;
    } else s.isr |= bit;
  }

  /** The input of highest priority in a set of them. */
  #first(set: number): number | undefined {
    for (let i = 1; i <= 8; i++) {
      const n = (this.#state.lowest + i) & 7;
      if (set & (1 << n)) return n;
    }
    return undefined;
  }

  /** The request to be served next, if any: unmasked, and not held back by one in service. */
  #highest(): number | undefined {
    const s = this.#state;
    if (s.expects !== 0) return undefined;
    const requests = s.irr & ~s.imr;
    for (let i = 1; i <= 8; i++) {
      const n = (s.lowest + i) & 7;
      const bit = 1 << n;
      const inService = (s.isr & bit) !== 0;
      // A slave's further requests come through the same input: special fully nested mode lets them.
      const nests = (s.icw4 & ICW4_FULLY_NESTED) !== 0 && (this.cascade & bit) !== 0;
      if (requests & bit && (!inService || nests)) return n;
      if (inService && !(s.specialMask && s.imr & bit)) return undefined;
    }
    return undefined;
  }

  save(): DeviceState {
    return { ...this.#state };
  }
  restore(state: DeviceState): void {
    this.#state = restored(RESET, state);
    this.update();
  }
}

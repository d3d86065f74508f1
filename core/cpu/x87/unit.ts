// The FPU at work on one instruction: the environment it computes in, the stack, and the exceptions it has met.
import { Float80, INTEGER_BIT, QUIET_BIT, SPECIAL } from "./float80.ts";
import { AT, STATUS, STRIDE, summarized, TOP_MASK, TOP_SHIFT } from "./registers.ts";

/** Rounding control (SDM vol. 1, table 4-8). */
export const ROUND = { nearest: 0, down: 1, up: 2, zero: 3 } as const;
/** Bits of a significand. */
export type Precision = 24 | 53 | 64;
/** Precision control: 1 is reserved, and works as 3 does. */
const PRECISIONS: readonly Precision[] = [24, 64, 53, 64];

/** Found before anything is computed: an unmasked one leaves all operands alone (SDM vol. 1, 8.5). */
const BEFORE = STATUS.IE | STATUS.DE | STATUS.ZE;

export class Unit {
  /** Operands and result of what is being computed. */
  readonly a = new Float80();
  readonly b = new Float80();
  readonly r = new Float80();
  /** A second result. */
  readonly s = new Float80();
  /** Exceptions met, and SF. */
  flags = 0;
  /** An operand in memory, of a narrower format, is denormal there. */
  denormal = false;
  control = 0;
  status = 0;
  tags = 0;
  /** Told when an unmasked exception comes up: FERR#. */
  onError: (() => void) | undefined;
  #pending = false;

  constructor(readonly view: DataView) {}

  begin(): void {
    const { view } = this;
    this.control = view.getUint16(AT.control, true);
    this.status = view.getUint16(AT.status, true) & ~STATUS.C1;
    this.tags = view.getUint8(AT.tags);
    this.flags = 0;
    this.denormal = false;
    this.#pending = (this.status & STATUS.ES) !== 0;
  }
  end(): void {
    const { view } = this;
    const status = summarized(this.status | this.flags, this.control);
    view.setUint16(AT.status, status, true);
    view.setUint8(AT.tags, this.tags);
    if (status & STATUS.ES && !this.#pending) this.onError?.();
  }

  // ---- Environment -------------------------------------------------------------------------------------------------

  get rounding(): number {
    return this.control >> 10 & 3;
  }
  get precision(): Precision {
    return PRECISIONS[this.control >> 8 & 3] ?? 64;
  }
  raise(flags: number): void {
    this.flags |= flags;
  }
  /** Are these exceptions masked, all of them? */
  masks(flags: number): boolean {
    return (flags & ~this.control) === 0;
  }
  /** Must operands stay as they are, because of an unmasked exception? Then what was found afterwards does not count. */
  stops(): boolean {
    if (this.masks(this.flags & BEFORE)) return false;
    this.flags &= BEFORE | STATUS.SF;
    if (!(this.flags & STATUS.SF)) this.roundedUp(false);
    return true;
  }
  /** C1 tells whether an inexact result was rounded away from zero. */
  roundedUp(up: boolean): void {
    this.status = up ? this.status | STATUS.C1 : this.status & ~STATUS.C1;
  }
  /** Sets C3, C2 and C0. */
  condition(bits: number): void {
    this.status = this.status & ~(STATUS.C0 | STATUS.C2 | STATUS.C3) | bits;
  }

  // ---- Results -----------------------------------------------------------------------------------------------------

  zero(negative: number): void {
    this.r.set(negative, 0, 0, 0);
  }
  infinity(negative: number): void {
    this.r.set(negative, SPECIAL, INTEGER_BIT, 0);
  }
  /** The QNaN floating-point indefinite. */
  indefinite(): void {
    this.r.set(1, SPECIAL, INTEGER_BIT | QUIET_BIT, 0);
  }
  invalid(): void {
    this.flags |= STATUS.IE;
    this.indefinite();
  }

  // ---- Stack -------------------------------------------------------------------------------------------------------

  #physical(i: number): number {
    return (this.status >> TOP_SHIFT) + i & 7;
  }
  isEmpty(i: number): boolean {
    return (this.tags >> this.#physical(i) & 1) === 0;
  }
  read(i: number, into: Float80): void {
    const at = AT.registers + STRIDE * this.#physical(i);
    const { view } = this;
    const upper = view.getUint16(at + 8, true);
    into.negative = upper >> 15;
    into.exponent = upper & SPECIAL;
    into.hi = view.getInt32(at + 4, true);
    into.lo = view.getInt32(at, true);
  }
  write(i: number, { negative, exponent, hi, lo }: Float80): void {
    const physical = this.#physical(i);
    const at = AT.registers + STRIDE * physical;
    const { view } = this;
    view.setUint16(at + 8, negative << 15 | exponent, true);
    view.setInt32(at + 4, hi, true);
    view.setInt32(at, lo, true);
    this.tags |= 1 << physical;
  }
  free(i: number): void {
    this.tags &= ~(1 << this.#physical(i));
  }
  turn(by: number): void {
    this.status = this.status & ~TOP_MASK | this.#physical(by) << TOP_SHIFT;
  }
  pop(): void {
    this.free(0);
    this.turn(1);
  }
  /** Pushes a value; where there is no room, that is a stack fault, and the value the indefinite. */
  push(value: Float80): void {
    if (!this.isEmpty(-1)) {
      this.flags |= STATUS.IE | STATUS.SF;
      this.status |= STATUS.C1;
      if (!this.masks(STATUS.IE)) return;
      this.indefinite();
      value = this.r;
    }
    this.turn(-1);
    this.write(0, value);
  }
  /** Is a register empty that is wanted? The fault is noted, and the indefinite is the result. */
  lacks(i: number): boolean {
    if (!this.isEmpty(i)) return false;
    this.flags |= STATUS.IE | STATUS.SF;
    this.status &= ~STATUS.C1;
    this.indefinite();
    return true;
  }
}

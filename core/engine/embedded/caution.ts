// Is it worth while to translate what comes next? Code that faults or reaches devices all along (zeroed memory, run through
// as `add [rax], al`) would have a page of it translated for each step.

/** Regions that bail one after the other, within so few instructions, before there are none for a while. */
const MANY_BAILS = 4;
const SOON = 8;
/** Instructions that are then stepped over one by one before a region is tried again, and the length of that one. */
const CAREFUL = 16;
const CAUTIOUS = 4;

export class Caution {
  readonly #cpu: { readonly retired: number };
  #bails = 0;
  #retiredAtBail = 0;
  #careful = 0;

  constructor(cpu: { readonly retired: number }) {
    this.#cpu = cpu;
  }

  /** A region has bailed. */
  bailed(): void {
    const { retired } = this.#cpu;
    this.#bails = retired - this.#retiredAtBail < SOON ? this.#bails + 1 : 0;
    this.#retiredAtBail = retired;
    if (this.#bails >= MANY_BAILS) this.#careful = CAREFUL;
  }

  /** Is the next instruction better done by itself? Asked once for each. */
  stepsNext(): boolean {
    if (this.#careful === 0) return false;
    if (--this.#careful === 0) this.#retiredAtBail = this.#cpu.retired;
    return true;
  }

  /** How long the next region may be. What went well for a while is trusted again: it may loop for long. */
  get limit(): number {
    if (this.#bails < MANY_BAILS) return Infinity;
    if (this.#cpu.retired - this.#retiredAtBail < SOON) return CAUTIOUS;
    this.#bails = 0;
    return Infinity;
  }
}

// Which interrupts wait at a local APIC, which are in service, and which comes next (SDM vol. 3, 11.8).
import { VectorSet } from "./vector_set.ts";

/** 256 vectors, in eight words. */
const EMPTY = {
  tpr: 0,
  isr: [0, 0, 0, 0, 0, 0, 0, 0],
  irr: [0, 0, 0, 0, 0, 0, 0, 0],
  tmr: [0, 0, 0, 0, 0, 0, 0, 0],
};
export type PriorityState = typeof EMPTY;

export class LapicPriorities {
  /** Task priority, 0 to 255. */
  tpr = 0;
  readonly isr = new VectorSet();
  readonly irr = new VectorSet();
  /** Of the vectors in the other two: did they come from a level? */
  readonly tmr = new VectorSet();

  reset(): void {
    this.restore(EMPTY);
  }

  request(vector: number, levelTriggered: boolean): void {
    this.irr.set(vector, true);
    this.tmr.set(vector, levelTriggered);
  }

  /** Processor priority: what a vector's class must be above (11.8.3.1). */
  get ppr(): number {
    const served = Math.max(0, this.isr.highest());
    return this.tpr >> 4 >= served >> 4 ? this.tpr : served & 0xf0;
  }

  /** The vector to be served next, or -1. */
  get next(): number {
    const vector = this.irr.highest();
    return vector >> 4 > this.ppr >> 4 ? vector : -1;
  }

  /** It is being served now. */
  serve(vector: number): void {
    this.irr.set(vector, false);
    this.isr.set(vector, true);
  }

  /** The one in service has been; undefined when there is none. */
  end(): number | undefined {
    const vector = this.isr.highest();
    if (vector < 0) return undefined;
    this.isr.set(vector, false);
    return vector;
  }

  save(): PriorityState {
    const { tpr, isr, irr, tmr } = this;
    return { tpr, isr: isr.save(), irr: irr.save(), tmr: tmr.save() };
  }
  restore({ tpr, isr, irr, tmr }: PriorityState): void {
    this.tpr = tpr;
    this.isr.restore(isr);
    this.irr.restore(irr);
    this.tmr.restore(tmr);
  }
}

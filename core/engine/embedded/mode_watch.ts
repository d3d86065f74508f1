// Notices, at the cost of a few loads, that the CPU may be in another mode than before: what a mode is made of is compared
// word by word. The run loop asks before every region.
import { CR0, CR4, RFLAGS } from "../../base/registers.ts";
import * as L from "../../cpu/layout.ts";

/** The six segments of data and code: their bases, limits and attributes. Their selectors change without need. */
const SEGMENT_WORDS = 6 * L.SEGMENT_STRIDE / 4;
const SEGMENTS_AT = L.SEGMENTS / 4;

/** Bits of other registers that a mode depends on. */
const REGISTERS: readonly { readonly at: number; readonly mask: number }[] = [
  { at: L.CR0, mask: CR0.PE | CR0.MP | CR0.EM | CR0.TS | CR0.NE | CR0.AM },
  { at: L.CR4, mask: CR4.OSFXSR | CR4.LA57 },
  { at: L.EFER, mask: -1 },
  { at: L.FLAGS_REST, mask: RFLAGS.AC | RFLAGS.VM },
];

export class ModeWatch {
  readonly #words: Int32Array;
  readonly #seen = new Int32Array(SEGMENT_WORDS + REGISTERS.length);

  /** Of the CPU whose state begins this memory. */
  constructor(memory: ArrayBuffer) {
    this.#words = new Int32Array(memory, 0, L.X87 / 4);
  }

  /** Is everything as it was at the last `remember`? */
  get isUnchanged(): boolean {
    const words = this.#words, seen = this.#seen;
    for (let i = 0; i < SEGMENT_WORDS; i++) {
      if (words[SEGMENTS_AT + i] !== seen[i]) return false;
    }
    for (let i = 0; i < REGISTERS.length; i++) {
      const { at, mask } = REGISTERS[i]!;
      if ((words[at / 4]! & mask) !== seen[SEGMENT_WORDS + i]) return false;
    }
    return true;
  }

  remember(): void {
    const words = this.#words, seen = this.#seen;
    seen.set(words.subarray(SEGMENTS_AT, SEGMENTS_AT + SEGMENT_WORDS));
    REGISTERS.forEach(({ at, mask }, i) => seen[SEGMENT_WORDS + i] = words[at / 4]! & mask);
  }
}

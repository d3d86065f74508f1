// MXCSR, and what one SIMD floating-point instruction makes of it (SDM vol. 1, 10.2.3 and 11.5).
import { CR4, VECTOR } from "../../../base/registers.ts";
import { GuestFault } from "../../fault.ts";
import type { CpuState } from "../../state.ts";

/** Exception flags, bits 0 to 5; their masks stand 7 bits higher. */
export const FLAG = { IE: 1, DE: 2, ZE: 4, OE: 8, UE: 16, PE: 32 } as const;
const MASK_SHIFT = 7;
const ALL_FLAGS = 0x3f;
/** Found before anything is computed: when one of them is unmasked, the others are not looked for. */
const BEFORE = FLAG.IE | FLAG.DE | FLAG.ZE;
const DAZ = 1 << 6, FTZ = 1 << 15;
const ROUNDING_SHIFT = 13;
/** Bits that exist. Others in LDMXCSR or FXRSTOR are #GP. */
export const MXCSR_BITS = 0xffff;

/** Rounding control. */
export const ROUND = { nearest: 0, down: 1, up: 2, zero: 3 } as const;
export type Rounding = typeof ROUND[keyof typeof ROUND];

/** How an instruction computes, and the exceptions that it has met. */
export class Environment {
  /** Exception flags met so far. */
  flags = 0;
  readonly #masks: number;

  constructor(readonly mxcsr: number) {
    this.#masks = (mxcsr >> MASK_SHIFT) & ALL_FLAGS;
  }
  get rounding(): Rounding {
    return (this.mxcsr >> ROUNDING_SHIFT & 3) as Rounding;
  }
  get denormalsAreZeros(): boolean {
    return (this.mxcsr & DAZ) !== 0;
  }
  /** Works only where underflow is masked (SDM vol. 1, 10.2.3.3). */
  get flushesToZero(): boolean {
    return (this.mxcsr & FTZ) !== 0 && (this.#masks & FLAG.UE) !== 0;
  }
  get underflowIsMasked(): boolean {
    return (this.#masks & FLAG.UE) !== 0;
  }
  raise(flags: number): void {
    this.flags |= flags;
  }

  /** Ends an instruction of several steps where one of them has met an unmasked exception. */
  check(state: CpuState): void {
    if (this.flags & ~this.#masks) this.settle(state);
  }

  /** Keeps the flags in MXCSR. Throws #XM, or #UD where the system does not want that, if one of them is unmasked. */
  settle(state: CpuState): void {
    const early = this.flags & BEFORE & ~this.#masks;
    const found = early ? this.flags & BEFORE : this.flags;
    state.mxcsr = this.mxcsr | found;
    if ((found & ~this.#masks) === 0) return;
    const wanted = (state.control("cr4") & BigInt(CR4.OSXMMEXCPT)) !== 0n;
    throw new GuestFault(wanted ? VECTOR.XM : VECTOR.UD);
  }
}

// Debug registers: what the breakpoints watch, which of their conditions an instruction has met, and what a debug exception
// leaves behind in DR6 and DR7 (SDM vol. 3, chapter 18). The run loop and memory ask here; nobody else reads DR7's fields.
import { VECTOR } from "../base/registers.ts";
import { GuestFault } from "./fault.ts";

/** Causes of a debug exception, as DR6 has them (SDM vol. 3, 18.2.3). The low four are those of DR0 to DR3. */
export const DR6 = { BREAKPOINTS: 0xf, BD: 1 << 13, BS: 1 << 14, BT: 1 << 15 } as const;
/** DR7: general detect (SDM vol. 3, 18.2.4). */
export const DR7_GD = 1n << 13n;

/** R/W field of a breakpoint. */
const KIND = { execute: 0, write: 1, port: 2, access: 3 } as const;
/** LEN field: bytes less one, which are also the address bits that are ignored. */
const LAST = [0n, 1n, 7n, 3n] as const;

interface Range {
  /** Its bit in DR6. */
  readonly bit: number;
  readonly first: bigint;
  readonly last: bigint;
  /** Do reads count too? */
  readonly reads: boolean;
}

const touches = ({ first, last }: Range, from: bigint, size: number): boolean =>
  from <= last && from + BigInt(size - 1) >= first;

/** What DR0 to DR3 and DR7 make of themselves. */
export class Breakpoints {
  /** Changes whenever the registers do: those who have worked something out from them compare it. */
  version = 0;
  /** Linear addresses of the enabled instruction breakpoints. */
  code: readonly bigint[] = [];
  /** Is any data breakpoint enabled? */
  watching = false;
  /** Conditions of data and I/O breakpoints that were met since this was last cleared: bits of DR6. */
  met = 0;
  #enabled = 0;
  #code: readonly { readonly bit: number; readonly address: bigint }[] = [];
  #data: readonly Range[] = [];
  #ports: readonly Range[] = [];

  /** Takes the registers over: DR0 to DR3, and DR7. */
  load(addresses: readonly bigint[], dr7: bigint): void {
    this.version++;
    const control = Number(dr7);
    const all = addresses.map((address, i) => ({
      bit: 1 << i,
      address,
      kind: control >>> (16 + 4 * i) & 3,
      ignored: LAST[control >>> (18 + 4 * i) & 3] ?? 0n,
      enabled: (control >>> (2 * i) & 3) !== 0,
    }));
    const ranges = (...kinds: number[]): Range[] =>
      all.filter(({ kind }) => kinds.includes(kind)).map(({ bit, address, kind, ignored }) => {
        const first = address & ~ignored;
        return { bit, first, last: first + ignored, reads: kind === KIND.access };
      });
    this.#enabled = all.reduce((bits, { bit, enabled }) => enabled ? bits | bit : bits, 0);
    this.#code = all.filter(({ kind }) => kind === KIND.execute);
    this.#data = ranges(KIND.write, KIND.access);
    this.#ports = ranges(KIND.port);
    this.code = all.filter(({ kind, enabled }) => enabled && kind === KIND.execute)
      .map(({ address }) => address);
    this.watching = this.#data.some(({ bit }) => bit & this.#enabled);
  }

  /** Causes of the fault before the instruction at a linear address: 0 for none. One that is not enabled may be among them. */
  before(linear: bigint): number {
    const met = this.#code.reduce(
      (bits, { bit, address }) => address === linear ? bits | bit : bits,
      0,
    );
    return met & this.#enabled ? met : 0;
  }

  /** Notes an access to memory. */
  access(linear: bigint, size: number, write: boolean): void {
    for (const range of this.#data) {
      if ((write || range.reads) && touches(range, linear, size)) this.met |= range.bit;
    }
  }

  /** Notes an access to a port. Only with CR4.DE is there such a breakpoint. */
  port(port: number, size: number): void {
    for (const range of this.#ports) if (touches(range, BigInt(port), size)) this.met |= range.bit;
  }

  /** Would {@linkcode access} of these bytes note something? */
  watches(linear: bigint, size: number, write: boolean): boolean {
    return this.#data.some((range) => (write || range.reads) && touches(range, linear, size));
  }

  /** Causes of the trap after an instruction, from what was met: 0 for none. Forgets it. */
  after(): number {
    const { met } = this;
    this.met = 0;
    return met & this.#enabled ? met : 0;
  }
}

/** Parts of the state that a debug exception changes. */
interface DebugState {
  debug(index: number): bigint;
  setDebug(index: number, value: bigint): void;
}

/**
 * The debug exception with these causes, which DR6 tells from now on. B0 to B3 are those of this exception; all other bits
 * stay until the program clears them. The handler may use the registers: general detect is off (SDM vol. 3, 18.2.3, 18.2.4).
 */
export function debugException(state: DebugState, causes: number): GuestFault {
  const kept = state.debug(6) & ~BigInt(DR6.BREAKPOINTS);
  state.setDebug(6, kept | BigInt(causes));
  releaseDebugRegisters(state);
  return new GuestFault(VECTOR.DB);
}

/** Turns general detect off, as every entry of the debug exception's handler does. */
export function releaseDebugRegisters(state: DebugState): void {
  const dr7 = state.debug(7);
  if (dr7 & DR7_GD) state.setDebug(7, dr7 & ~DR7_GD);
}

// The hypercall table: which number leads where. Groups live in files of their own beside this; a slot that is taken is
// refused, so that no two of them can answer to one number.
import { type Outcome, RESUME } from "../../monitor.ts";
import { ERRNO, HYPERCALL, type HypercallName } from "../abi.ts";
import type { Domain } from "../domain.ts";
import { Refused } from "../refused.ts";

/** What a hypercall leads to. */
export interface Reply {
  /** RAX; absent when the hypercall has loaded the registers itself (iret) or ends the run. */
  readonly result?: bigint;
  readonly outcome: Outcome;
}

/** Arguments come in RDI, RSI, RDX, R10, R8. Throws `Refused` for what becomes a negative error number. */
export type Handler = (domain: Domain, args: readonly bigint[]) => Reply;

export interface Entry {
  readonly name: HypercallName;
  /** How many arguments it takes; the others are noise, and stay out of the trace. */
  readonly argumentCount: number;
  readonly handler: Handler;
}

/** A reply that puts a number into RAX and goes on. */
export function result(value: number | bigint = 0): Reply {
  return { result: BigInt(value), outcome: RESUME };
}

/** Hypercalls by number. */
export class HypercallTable {
  readonly #entries = new Map<number, Entry>();

  /** Throws when the slot is taken. */
  register(name: HypercallName, argumentCount: number, handler: Handler): void {
    const number = HYPERCALL[name];
    if (this.#entries.has(number)) throw new Error(`Hypercall ${name} has a handler already`);
    this.#entries.set(number, { name, argumentCount, handler });
  }

  get(number: bigint): Entry | undefined {
    return number < 64n ? this.#entries.get(Number(number)) : undefined;
  }

  /** Calls it; what it refuses, and what nobody implements, becomes a negative error number. */
  call(domain: Domain, number: bigint, args: readonly bigint[]): Reply {
    const entry = this.get(number);
    if (!entry) return result(-ERRNO.ENOSYS);
    try {
      return entry.handler(domain, args);
    } catch (refused) {
      if (refused instanceof Refused) return result(-refused.errno);
      throw refused;
    }
  }
}

/** What every group exports: puts its hypercalls into the table. */
export type Group = (table: HypercallTable) => void;

/** Argument `index` as an unsigned 32-bit number, as commands and counts are. */
export function u32(args: readonly bigint[], index: number): number {
  return Number(BigInt.asUintN(32, args[index] ?? 0n));
}

/** Argument `index` as a 64-bit one. */
export function u64(args: readonly bigint[], index: number): bigint {
  return BigInt.asUintN(64, args[index] ?? 0n);
}

// The time of one run, in modelled cycles of the virtual board's 1 GHz clock, hence in nanoseconds. It goes forward with
// retired instructions, with what native operations and exits cost, and by jumps while the guest idles; with nothing else.
import type { ExitVia } from "../trace/exit.ts";
import type { CostProfile } from "./cost_profile.ts";
import { exitCost, inlinedCost, instructionCost, nativeCost } from "./cost_model.ts";

/** The time that a guest, its devices and its limits go by. */
export interface GuestTime {
  /** Nanoseconds since power on. */
  now(): number;
  /** How many instructions fit until `deadline` (nanoseconds), at least 1. */
  instructionsUntil(deadline: number): number;
  /** How long the guest may run until then, at least 1; undefined where it is instructions that are granted. */
  nanosecondsUntil(deadline: number): number | undefined;
  /** Pays for an exit. */
  exit(via: ExitVia, kind: string): void;
  /** Pays for something that costs on bare hardware too. */
  native(operation: string): void;
  /** Pays for what has been inlined so far; the counts are totals, and never fall. */
  inlined(totals: Readonly<Record<string, number>>): void;
  /** The guest sleeps until `deadline`; the past is no deadline. */
  idleUntil(deadline: number): void;
}

/** Virtual time of one run. */
export class VirtualTime implements GuestTime {
  readonly #perInstruction: number;
  readonly #profile: CostProfile;
  readonly #retired: () => number;
  readonly #exitCosts = new Map<string, number>();
  readonly #nativeCosts = new Map<string, number>();
  /** Everything but ordinary instructions, in cycles. */
  #beyond = 0;
  #inlined = 0;

  /** `retired` tells how many guest instructions have retired; it is called often. */
  constructor(profile: CostProfile, retired: () => number) {
    this.#profile = profile;
    this.#retired = retired;
    this.#perInstruction = instructionCost(profile);
  }

  now(): number {
    return Math.floor(this.#retired() * this.#perInstruction + this.#beyond + this.#inlined);
  }

  instructionsUntil(deadline: number): number {
    return Math.max(1, Math.ceil((deadline - this.now()) / this.#perInstruction));
  }

  nanosecondsUntil(): undefined {
    return undefined;
  }

  exit(via: ExitVia, kind: string): void {
    const key = `${via}/${kind}`;
    let cost = this.#exitCosts.get(key);
    if (cost === undefined) {
      this.#exitCosts.set(key, cost = exitCost(this.#profile, via, kind));
    }
    this.#beyond += cost;
  }

  native(operation: string): void {
    let cost = this.#nativeCosts.get(operation);
    if (cost === undefined) {
      this.#nativeCosts.set(operation, cost = nativeCost(this.#profile, operation));
    }
    this.#beyond += cost;
  }

  inlined(totals: Readonly<Record<string, number>>): void {
    let cycles = 0;
    for (const operation in totals) {
      cycles += (totals[operation] ?? 0) * inlinedCost(this.#profile, operation);
    }
    this.#inlined = Math.max(this.#inlined, cycles);
  }

  idleUntil(deadline: number): void {
    this.#beyond += Math.max(0, deadline - this.now());
  }
}

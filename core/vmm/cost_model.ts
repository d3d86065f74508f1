// The cost model: counts times the figures of a cost profile. The runner keeps virtual time by it, and reports by it.
import type { ExitVia } from "../trace/exit.ts";
import type { Cycles } from "../trace/trace.ts";
import {
  type CostLayer,
  type CostProfile,
  type Figure,
  type Figures,
  OTHERS,
} from "./cost_profile.ts";

/** What the model is applied to: exact counts of one run. */
export interface CostCounts {
  readonly instructions: number;
  /** By `via/kind`. */
  readonly exits: Readonly<Record<string, number>>;
  readonly inlined: Readonly<Record<string, number>>;
  readonly native: Readonly<Record<string, number>>;
}

/**
 * The first layer that knows the key, or failing that the fallback, wins: a profile's general figure for its own machine
 * is nearer the truth than a particular one from another machine.
 */
function find(
  profile: CostProfile,
  of: (layer: CostLayer) => Figures,
  key: string,
  fallback: string,
): Figure | undefined {
  for (const layer of profile.layers) {
    const figures = of(layer);
    const figure = figures[key] ?? figures[fallback];
    if (figure) return figure;
  }
  return undefined;
}

/** What an exit costs, from the guest's last instruction to its next: hardware, dispatch and handling. */
export function exitFigure(profile: CostProfile, via: ExitVia, kind: string): Figure | undefined {
  return find(profile, (layer) => layer.exits, `${via}/${kind}`, via);
}

/** As {@linkcode exitFigure}, in cycles; throws `Error` when the profile has no figure for this way of exiting. */
export function exitCost(profile: CostProfile, via: ExitVia, kind: string): number {
  const figure = exitFigure(profile, via, kind);
  if (!figure) throw new Error(`Cost profile ${profile.name} has no figure for ${via}/${kind}`);
  return figure.value;
}

/** What an operation costs that translated code does without leaving, in cycles; 0 when no source tells. */
export function inlinedCost(profile: CostProfile, operation: string): number {
  return find(profile, (layer) => layer.inlined, operation, OTHERS)?.value ?? 0;
}

/** What an operation costs on bare hardware beyond an ordinary instruction, in cycles; 0 when no source tells. */
export function nativeCost(profile: CostProfile, operation: string): number {
  return find(profile, (layer) => layer.native, operation, OTHERS)?.value ?? 0;
}

/** Cycles of an ordinary guest instruction; 1 unless the profile says otherwise. */
export function instructionCost(profile: CostProfile): number {
  return profile.layers.find((layer) => layer.instruction)?.instruction?.value ?? 1;
}

/** Splits `via/kind`. */
function split(key: string): { via: ExitVia; kind: string } {
  const slash = key.indexOf("/");
  return { via: key.slice(0, slash) as ExitVia, kind: key.slice(slash + 1) };
}

/**
 * The modelled cycles of one run. The guest's part is what bare hardware would spend on its instructions; the VMM's is
 * the sum over exits and inlined operations, decomposed by kind.
 */
export function cyclesOf(counts: CostCounts, profile: CostProfile): Cycles {
  let guest = counts.instructions * instructionCost(profile);
  for (const [name, times] of Object.entries(counts.native)) {
    guest += times * nativeCost(profile, name);
  }
  let vmm = 0;
  const kinds: Record<string, number> = {};
  const add = (kind: string, cycles: number) => {
    vmm += cycles;
    kinds[kind] = (kinds[kind] ?? 0) + cycles;
  };
  for (const [key, times] of Object.entries(counts.exits)) {
    const { via, kind } = split(key);
    add(kind, times * exitCost(profile, via, kind));
  }
  for (const [operation, times] of Object.entries(counts.inlined)) {
    const cycles = times * inlinedCost(profile, operation);
    if (cycles > 0) add(`inline/${operation}`, cycles);
  }
  return { profile: profile.name, guest: Math.round(guest), vmm: Math.round(vmm), kinds };
}

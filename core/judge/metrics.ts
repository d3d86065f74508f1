// The figures of a run, and what a comparison can weigh by name.
import type { Trace } from "../trace/trace.ts";
import { cyclesOf } from "../vmm/cost_model.ts";
import type { CostProfile } from "../vmm/cost_profile.ts";
import { hidesSomeOf } from "./hidden.ts";
import { bytesText } from "./match.ts";
import type { Figures } from "./result.ts";

/** Console output kept in results, in bytes; traces have all of it. */
export const CONSOLE_KEPT = 65_536;

/** The figures of a run; kinds in alphabetical order, so that results compare as text. */
export function figuresOf(trace: Trace): Figures {
  const { counts, cycles, unobserved, exitKinds, hidden, coarse } = trace;
  return {
    instructions: counts.instructions,
    exits: { total: counts.exits.total, kinds: sorted(counts.exits.kinds) },
    ways: sorted(counts.ways),
    native: sorted(counts.native),
    inlined: sorted(counts.inlined),
    accesses: sorted(counts.accesses),
    injections: sorted(counts.injections),
    cycles: { ...cycles, kinds: sorted(cycles.kinds) },
    wallNs: trace.wallNs,
    console: bytesText(trace.console.slice(0, CONSOLE_KEPT)),
    end: trace.end,
    ...(unobserved.length > 0 ? { unobserved } : {}),
    ...(exitKinds ? { exitKinds } : {}),
    ...(hidden ? { hidden } : {}),
    ...(coarse ? { coarse } : {}),
  };
}

/** Are its exits and instructions exact, so that modelled cycles mean something? */
export function isExact(figures: Figures): boolean {
  return unseenBy(figures, "cycles") === undefined;
}

/** What the subject does not show of what a metric is made of, in words; undefined where it shows all of it. */
export function unseenBy(figures: Figures, metric: string): string | undefined {
  const { unobserved = [] } = figures;
  const [name, kind] = metric.split("/");
  const instructions = unobserved.includes("instructions") ? "instructions" : undefined;
  const exits = unobserved.includes("exits")
    ? "exits"
    : hidesSomeOf(figures, "exits", kind ?? "total")
    ? kind === undefined ? "all exits" : `exits by ${kind}`
    : undefined;
  switch (name) {
    case "exits":
      return exits;
    case "accesses":
    case "injections":
      return unobserved.includes(name)
        ? name
        : hidesSomeOf(figures, name, kind ?? "total")
        ? `all ${name}`
        : undefined;
    case "instructions":
    case "guest-cycles":
      return instructions;
    // What is inlined, and what the VMM spends, is counted where exits are.
    default:
      return exits ?? instructions;
  }
}

/** The figures with the same counts priced by another profile. */
export function priced(figures: Figures, profile: CostProfile): Figures {
  return { ...figures, cycles: cyclesOf({ ...figures, exits: figures.ways }, profile) };
}

function sorted(counts: Readonly<Partial<Record<string, number>>>): Record<string, number> {
  const entries = Object.entries(counts).flatMap(([name, count]): [string, number][] =>
    count ? [[name, count]] : []
  );
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

/**
 * The value of a metric: `exits`, `instructions`, `inlined`, `injections`, `accesses`, each also with `/KIND`;
 * `cycles` (guest and VMM together), `guest-cycles`, `vmm-cycles`, the last also with `/KIND`. Undefined if there is none
 * of that name.
 */
export function metricOf(figures: Figures, metric: string): number | undefined {
  const slash = metric.indexOf("/");
  const name = slash === -1 ? metric : metric.slice(0, slash);
  const kind = slash === -1 ? undefined : metric.slice(slash + 1);
  const counted = (counts: Readonly<Record<string, number>>) =>
    kind === undefined
      ? Object.values(counts).reduce((sum, count) => sum + count, 0)
      : Object.hasOwn(counts, kind)
      ? counts[kind]
      : 0;
  switch (name) {
    case "exits":
      return kind === undefined ? figures.exits.total : counted(figures.exits.kinds);
    case "inlined":
      return counted(figures.inlined);
    case "accesses":
      return counted(figures.accesses);
    case "injections":
      return counted(figures.injections);
    case "vmm-cycles":
      return kind === undefined ? figures.cycles.vmm : counted(figures.cycles.kinds);
    case "guest-cycles":
      return kind === undefined ? figures.cycles.guest : undefined;
    case "cycles":
      return kind === undefined ? figures.cycles.guest + figures.cycles.vmm : undefined;
    case "instructions":
      return kind === undefined ? figures.instructions : undefined;
    default:
      return undefined;
  }
}

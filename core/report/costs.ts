// What one run cost, decomposed: which kind of exit, how many, at what cost, and that it comes to the total.
import type { Counts, Cycles } from "../trace/trace.ts";
import { left, right, short } from "./columns.ts";

const LABEL_WIDTH = 34;
const COLUMN = 12;

/** A row for each kind of exit and inlined operation, the dearest first; then the guest's own cycles, and the total. */
export function costTable(
  { exits, inlined }: Pick<Counts, "exits" | "inlined">,
  { guest, vmm, kinds, profile }: Cycles,
): string[] {
  const counted = [
    ...Object.entries(exits.kinds),
    ...Object.entries(inlined).map(([name, count]) => [`inline/${name}`, count] as const),
  ];
  const rows = counted.flatMap(([kind, count]) =>
    count ? [{ kind, count, cycles: kinds[kind] ?? 0 }] : []
  );
  rows.sort((a, b) => b.cycles - a.cycles || (a.kind < b.kind ? -1 : 1));
  return [
    row(`cost by ${profile}`, "count", "cycles", "each"),
    ...rows.map(({ kind, count, cycles }) =>
      row(`  ${kind}`, short(count), short(cycles), short(cycles / count))
    ),
    row("  the guest itself", "", short(guest), ""),
    row("total", "", short(guest + vmm), ""),
  ];
}

function row(label: string, ...cells: readonly string[]): string {
  const text = left(` ${label}`, LABEL_WIDTH) + cells.map((cell) => right(cell, COLUMN)).join("");
  return text.trimEnd();
}

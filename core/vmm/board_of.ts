// Which board a guest gets: a program those devices that its pv-ops drive, a file the whole PC that its author expected.
import { type PcBoard, pcBoard } from "../machine/board.ts";
import type { Setup } from "./monitor.ts";

/** Builds the PC around a guest. `lapic`: the platform has a local APIC in any case. */
export function boardOf(
  setup: Setup,
  { lapic = false }: { readonly lapic?: boolean } = {},
): PcBoard {
  const { bus, clock, console, disks, power, gate, image, inputs } = setup;
  const options = { bus, clock, console, disks, power, lapic, cpus: image.cpus ?? 1, inputs };
  if (image.format === undefined) return pcBoard(options);
  const { memory, rom } = image;
  return pcBoard({ ...options, legacy: { memory, gate, ...(rom ? { rom } : {}) } });
}

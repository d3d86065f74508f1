// Finds places for what a boot loader puts beside a kernel: modules after it, and the information structure in low memory.
import type { Placed } from "../image.ts";
import { overlap } from "./elf.ts";
import type { GuestFile, Module, Range } from "./loaded.ts";

const PAGE = 4096;
/** Conventional memory above the loader's own tables of a guest in protected mode (`GDT_BASE`), below its stack. */
const LOW: Range = { start: 0x2000, end: 0x80000 };

const pageUp = (address: number): number => Math.ceil(address / PAGE) * PAGE;

/** The lowest page in `within` from which `size` bytes overlap nothing; undefined where there is none. */
function room(size: number, occupied: readonly Range[], within: Range): number | undefined {
  let start = pageUp(within.start);
  for (;;) {
    const range = { start, end: start + size };
    if (range.end > within.end) return undefined;
    // Each of them moves the start past one range for good, so this ends.
    const obstacle = occupied.find((other) => overlap(other, range));
    if (!obstacle) return start;
    start = pageUp(obstacle.end);
  }
}

/** Room for boot information: low, as boot loaders have it, or else above the kernel. */
export function infoRoom(
  size: number,
  occupied: readonly Range[],
  memory: number,
): number | undefined {
  return room(size, occupied, LOW) ??
    room(size, occupied, { start: 0x100000, end: memory });
}

/** Modules in memory. */
export interface PlacedModules {
  readonly placed: readonly Placed[];
  readonly ranges: readonly (Range & { readonly module: Module })[];
}

/** Each module on pages of its own above the kernel; undefined where RAM is too small. */
export function placeModules(
  { modules, memory }: GuestFile,
  occupied: readonly Range[],
): PlacedModules | undefined {
  const placed: Placed[] = [];
  const ranges: (Range & { module: Module })[] = [];
  const top = Math.max(0x100000, ...occupied.map(({ end }) => end));
  let next = pageUp(top);
  for (const module of modules) {
    const end = next + module.bytes.length;
    if (end > memory) return undefined;
    if (module.bytes.length > 0) placed.push({ address: next, bytes: module.bytes });
    ranges.push({ start: next, end, module });
    next = pageUp(end);
  }
  return { placed, ranges };
}

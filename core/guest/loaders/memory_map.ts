// The memory map that boot loaders hand over, in the kinds and the order of a PC's firmware (ACPI 6.4, 15.1).
import type { Range } from "./loaded.ts";

/** Address range types. */
export const MAP_TYPE = { usable: 1, reserved: 2 } as const;

export interface MapEntry extends Range {
  readonly type: number;
}

/** Where conventional memory ends: firmware keeps its extended data area above. */
export const CONVENTIONAL_END = 0x9fc00;
/** The firmware's tables and code, up to 1 MiB. */
export const FIRMWARE_BASE = 0xe0000;
export const FIRMWARE_END = 0x100000;

/** KiB of conventional memory, and from 1 MiB up: what BIOS, CMOS and multiboot tell. */
export function memorySizes(memory: number): { readonly lower: number; readonly upper: number } {
  const lower = Math.floor(Math.min(memory, CONVENTIONAL_END) / 1024);
  return { lower, upper: Math.floor(Math.max(0, memory - FIRMWARE_END) / 1024) };
}

/** The map of a guest with `memory` bytes of RAM; ascending, without empty entries. */
export function memoryMap(memory: number): MapEntry[] {
  const map: MapEntry[] = [
    { start: 0, end: CONVENTIONAL_END, type: MAP_TYPE.usable },
    { start: CONVENTIONAL_END, end: 0xa0000, type: MAP_TYPE.reserved },
    { start: FIRMWARE_BASE, end: FIRMWARE_END, type: MAP_TYPE.reserved },
    { start: FIRMWARE_END, end: memory, type: MAP_TYPE.usable },
  ];
  return map.map((entry) => ({ ...entry, end: Math.min(entry.end, memory) }))
    .filter(({ start, end }) => start < end);
}

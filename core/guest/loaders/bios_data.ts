// The BIOS data area that a boot loader on a PC leaves behind: kernels look there for the end of conventional memory, even if
// the loader has told them by its own protocol.
import type { Placed } from "../image.ts";
import type { Range } from "./loaded.ts";
import { CONVENTIONAL_END, FIRMWARE_BASE, memorySizes } from "./memory_map.ts";

/** Where the area is, and its fields (IBM Personal System/2 and Personal Computer BIOS Interface Technical Reference, 3). */
const AREA = { start: 0x400, end: 0x500 };
const FIELD = { com1: 0x00, extendedSegment: 0x0e, conventionalKib: 0x13 } as const;
const COM1_PORT = 0x3f8;

/** The area, and the first byte of its extension: that one's size in KiB. Absent where a kernel lies, or memory ends below. */
export function biosData(memory: number, occupied: readonly Range[]): Placed[] {
  const extension = { start: CONVENTIONAL_END, end: CONVENTIONAL_END + 1 };
  const taken = [AREA, extension].some(({ start, end }) =>
    occupied.some((range) => start < range.end && range.start < end)
  );
  if (taken || memory < FIRMWARE_BASE) return [];
  const view = new DataView(new ArrayBuffer(AREA.end - AREA.start));
  view.setUint16(FIELD.com1, COM1_PORT, true);
  view.setUint16(FIELD.extendedSegment, CONVENTIONAL_END >> 4, true);
  view.setUint16(FIELD.conventionalKib, memorySizes(memory).lower, true);
  return [
    { address: AREA.start, bytes: new Uint8Array(view.buffer) },
    { address: extension.start, bytes: Uint8Array.of(1) },
  ];
}

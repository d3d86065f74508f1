// A firmware image at the reset vector (SDM vol. 3, 10.1.4): it ends at 4 GiB, and its end shows below 1 MiB too, where
// real mode runs it.
import type { GuestFile, Loading } from "./loaded.ts";

/** What chip sets show of it below 1 MiB at most. */
const LOW_WINDOW = 128 * 1024;
const LOW_END = 0x100000;
/** ROMs of PCs come in segments of real mode; shorter ones are taken where the scenario says that they are ROMs. */
const SEGMENT = 64 * 1024, UNIT = 4096;
/** Leaves room for the devices below 4 GiB. */
const MAX_ROM = 8 << 20;
/** The reset vector: 16 bytes before the end, at F000:FFF0. */
const RESET_VECTOR = 0xffff0;
/** What it begins with in any ROM: a far or near jump, perhaps after CLI or NOP. */
const FIRST_OPCODES: ReadonlySet<number> = new Set([0xea, 0xe9, 0xeb, 0xfa, 0x90]);

/** Does it look like one: of a ROM's size, with a jump at the reset vector? */
export function isRom(bytes: Uint8Array): boolean {
  const first = bytes[bytes.length - 16];
  return bytes.length % SEGMENT === 0 && isRomSize(bytes.length) && first !== undefined &&
    FIRST_OPCODES.has(first);
}

function isRomSize(length: number): boolean {
  return length > 0 && length % UNIT === 0 && length <= MAX_ROM;
}

/** The ROM in memory. Its copy below 1 MiB is RAM, as after firmware has shadowed itself. */
export function loadRom({ bytes, memory }: GuestFile): Loading {
  if (!isRomSize(bytes.length)) {
    return {
      problem:
        `A ROM is from 4 KiB to 8 MiB long, in steps of 4 KiB, and it is ${bytes.length} bytes`,
      suggestion: "Pad it at its start, so that the reset vector stays 16 bytes before its end",
    };
  }
  if (memory < LOW_END) {
    return {
      problem: "A ROM guest has at least 1 MiB of memory",
      suggestion: "Write `memory: 1 MiB`",
    };
  }
  const low = bytes.subarray(-Math.min(bytes.length, LOW_WINDOW));
  const address = LOW_END - low.length;
  return {
    format: "rom",
    entry: "real16",
    placed: [{ address, bytes: low }],
    occupied: [{ start: address, end: LOW_END }],
    start: RESET_VECTOR,
    registers: {},
    symbols: {},
    rom: bytes,
  };
}

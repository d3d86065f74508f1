// A firmware image at the reset vector (SDM vol. 3, 10.1.4): it ends at 4 GiB, and its end shows below 1 MiB too, where
// real mode runs it.
import { ROM_LOW_BYTES, ROM_LOW_END } from "../layout.ts";
import type { GuestFile, Loading } from "./loaded.ts";

/** ROMs of PCs come in segments of real mode; shorter ones are taken where the scenario says that they are ROMs. */
const SEGMENT = 64 * 1024, PAGE = 4096;
/** The reset vector alone. */
const MIN_ROM = 16;
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
  return length >= MIN_ROM && length <= MAX_ROM;
}

/** The ROM in memory, mapped twice: what is written to its copy below 1 MiB is lost, as on a board that has just been reset. */
export function loadRom({ bytes, memory }: GuestFile): Loading {
  if (!isRomSize(bytes.length)) {
    return {
      problem: `A ROM is from 16 bytes to 8 MiB long, and it is ${bytes.length} bytes`,
      suggestion: "It ends with the 16 bytes at the reset vector",
    };
  }
  if (memory < ROM_LOW_END) {
    return {
      problem: "A ROM guest has at least 1 MiB of memory",
      suggestion: "Write `memory: 1 MiB`",
    };
  }
  const rom = padded(bytes);
  const low = rom.subarray(-Math.min(rom.length, ROM_LOW_BYTES));
  const address = ROM_LOW_END - low.length;
  return {
    format: "rom",
    entry: "real16",
    placed: [{ address, bytes: low }],
    occupied: [{ start: address, end: ROM_LOW_END }],
    start: RESET_VECTOR,
    registers: {},
    symbols: {},
    rom,
  };
}

/** Whole pages, the ROM at their end, behind what an empty chip holds. */
function padded(bytes: Uint8Array): Uint8Array {
  const rom = new Uint8Array(Math.ceil(bytes.length / PAGE) * PAGE).fill(0xff);
  rom.set(bytes, rom.length - bytes.length);
  return rom;
}

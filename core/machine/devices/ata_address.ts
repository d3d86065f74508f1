// How a sector's number stands in the registers of an ATA channel: LBA48, LBA28, or cylinder, head and sector.
import { HEADS, SECTORS_PER_TRACK } from "./ata_identify.ts";

/**
 * The registers that hold it, after a reset: the signature of an ATA device. But for `device` they are sixteen bits each:
 * the byte written last, and above it the one before, which 48-bit commands take too (ATA/ATAPI-6, 6.20).
 */
export const TASK_FILE = { count: 1, low: 1, mid: 0, high: 0, device: 0 };

const DEVICE_LBA = 0x40;

/** The first sector of a command; undefined for a sector number that no track has. */
export function startSector(
  registers: Readonly<typeof TASK_FILE>,
  extended: boolean,
): number | undefined {
  const { low, mid, high, device } = registers;
  if (extended) {
    const upper = (low >> 8) + (mid >> 8) * 0x100 + (high >> 8) * 0x10000;
    return (low & 0xff) + (mid & 0xff) * 0x100 + (high & 0xff) * 0x10000 + upper * 0x1000000;
  }
  if (device & DEVICE_LBA) {
    return (low & 0xff) | (mid & 0xff) << 8 | (high & 0xff) << 16 | (device & 15) << 24;
  }
  const sector = low & 0xff;
  if (sector === 0 || sector > SECTORS_PER_TRACK) return undefined;
  const cylinder = (mid & 0xff) | (high & 0xff) << 8;
  return (cylinder * HEADS + (device & 15)) * SECTORS_PER_TRACK + sector - 1;
}

/** Writes back how far a command has come: the sector that it failed at, and how many are left with it. */
export function showSector(
  registers: typeof TASK_FILE,
  extended: boolean,
  sector: number,
  left: number,
): void {
  if (extended) {
    const upper = Math.floor(sector / 0x1000000);
    registers.low = sector & 0xff | (upper & 0xff) << 8;
    registers.mid = sector >> 8 & 0xff | upper & 0xff00;
    registers.high = sector >> 16 & 0xff | (upper >> 16 & 0xff) << 8;
    registers.count = left & 0xffff;
    return;
  }
  registers.count = left & 0xff;
  if (registers.device & DEVICE_LBA) {
    registers.low = sector & 0xff;
    registers.mid = sector >> 8 & 0xff;
    registers.high = sector >> 16 & 0xff;
    registers.device = registers.device & 0xf0 | sector >> 24 & 15;
    return;
  }
  const track = Math.floor(sector / SECTORS_PER_TRACK);
  const cylinder = Math.floor(track / HEADS);
  registers.low = sector % SECTORS_PER_TRACK + 1;
  registers.mid = cylinder & 0xff;
  registers.high = cylinder >> 8 & 0xff;
  registers.device = registers.device & 0xf0 | track % HEADS;
}

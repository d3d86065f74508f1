// What a drive says of itself: the 256 words of IDENTIFY DEVICE (ATA/ATAPI-6, 8.15).

/** Geometry for CHS addressing, as BIOSes translate small disks. */
export const HEADS = 16, SECTORS_PER_TRACK = 63;

/** Most sectors that LBA28 and CHS can name. */
const MAX_LBA28 = 0x0fffffff, MAX_CYLINDERS = 16383;

const SERIAL = "TRIVISOR0001", FIRMWARE = "1.0", MODEL = "TRIVISOR DISK";

/** The 512 bytes of the answer, for a disk of `sectors`. */
export function identify(sectors: number): Uint8Array {
  const words = new Uint16Array(256);
  const cylinders = Math.min(MAX_CYLINDERS, Math.floor(sectors / (HEADS * SECTORS_PER_TRACK)));
  const chsCapacity = cylinders * HEADS * SECTORS_PER_TRACK;
  const lba28 = Math.min(sectors, MAX_LBA28);
  const set = (word: number, ...values: number[]) => words.set(values, word);
  const low = (value: number) => value & 0xffff;
  const high = (value: number) => Math.floor(value / 0x10000) & 0xffff;

  set(0, 0x0040); // a fixed disk
  set(1, cylinders);
  set(3, HEADS);
  set(6, SECTORS_PER_TRACK);
  putText(words, 10, 10, SERIAL);
  putText(words, 23, 4, FIRMWARE);
  putText(words, 27, 20, MODEL);
  set(47, 0x8000); // no READ MULTIPLE
  set(49, 1 << 9); // LBA, no DMA
  set(53, 1); // words 54 to 58 are valid
  set(54, cylinders, HEADS, SECTORS_PER_TRACK, low(chsCapacity), high(chsCapacity));
  set(60, low(lba28), high(lba28));
  set(80, 0x007e); // ATA-1 to ATA/ATAPI-6
  set(83, 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10, 1 << 14); // FLUSH CACHE (EXT), 48-bit addresses
  set(86, 1 << 13 | 1 << 12 | 1 << 10, 1 << 14); // and they are enabled
  set(100, low(sectors), high(sectors));

  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  words.forEach((word, i) => view.setUint16(2 * i, word, true));
  return bytes;
}

/** ASCII padded with blanks, the first character of each pair in the high byte. */
function putText(words: Uint16Array, at: number, length: number, text: string): void {
  const padded = text.padEnd(2 * length);
  for (let i = 0; i < length; i++) {
    words[at + i] = padded.charCodeAt(2 * i) << 8 | padded.charCodeAt(2 * i + 1);
  }
}

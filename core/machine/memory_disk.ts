// A disk that lives in memory, made from what a scenario says of it. Sectors come into being when they are first written,
// so that a large disk costs nothing until it is used.
import type { DiskSpec } from "../scenario/case.ts";
import type { BlockSource } from "./device.ts";

/** Bytes of a sector, of every disk here. */
export const SECTOR_SIZE = 512;

/** Largest disk: 64 MiB. Its contents are compared at the end of a run, so it has to fit in memory several times. */
export const MAX_DISK_SECTORS = 131_072;

export class MemoryDisk implements BlockSource {
  readonly sectors: number;
  readonly readOnly: boolean;
  readonly #initial: (sector: number) => Uint8Array;
  readonly #written = new Map<number, Uint8Array>();

  /** Throws `RangeError` unless the disk has 1 to {@linkcode MAX_DISK_SECTORS} sectors. */
  constructor(spec: DiskSpec) {
    const { sectors, readOnly, pattern, bytes } = spec;
    if (!Number.isInteger(sectors) || sectors < 1 || sectors > MAX_DISK_SECTORS) {
      throw new RangeError(`A disk has 1 to ${MAX_DISK_SECTORS} sectors, not ${sectors}`);
    }
    this.sectors = sectors;
    this.readOnly = readOnly;
    this.#initial = (sector) =>
      pattern !== undefined ? patternSector(pattern, sector) : literalSector(bytes, sector);
  }

  readSector(sector: number): Uint8Array {
    this.#check(sector);
    return this.#written.get(sector)?.slice() ?? this.#initial(sector);
  }

  /** Throws `RangeError` outside the disk, for other than 512 bytes, and when the disk is read-only. */
  writeSector(sector: number, bytes: Uint8Array): void {
    this.#check(sector);
    if (this.readOnly) throw new RangeError("The disk is read-only");
    if (bytes.length !== SECTOR_SIZE) throw new RangeError(`Not a sector: ${bytes.length} bytes`);
    this.#written.set(sector, bytes.slice());
  }

  /** All of the disk as it is now. */
  contents(): Uint8Array {
    const result = new Uint8Array(this.sectors * SECTOR_SIZE);
    for (let n = 0; n < this.sectors; n++) result.set(this.readSector(n), n * SECTOR_SIZE);
    return result;
  }

  #check(sector: number): void {
    if (!Number.isInteger(sector) || sector < 0 || sector >= this.sectors) {
      throw new RangeError(`No sector ${sector} on a disk of ${this.sectors}`);
    }
  }
}

/** The pattern with `{n}` replaced by the sector's number, repeated and cut at 512 bytes. */
function patternSector(pattern: string, sector: number): Uint8Array {
  const text = new TextEncoder().encode(pattern.replaceAll("{n}", String(sector)));
  const bytes = new Uint8Array(SECTOR_SIZE);
  if (text.length > 0) {
    for (let i = 0; i < SECTOR_SIZE; i++) {
      bytes[i] = text[i % text.length] ?? 0;
    }
  }
  return bytes;
}

function literalSector(bytes: Uint8Array | undefined, sector: number): Uint8Array {
  const result = new Uint8Array(SECTOR_SIZE);
  result.set(bytes?.subarray(sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE) ?? []);
  return result;
}

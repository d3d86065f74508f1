import { assertEquals, assertThrows } from "@std/assert";
import { MAX_DISK_SECTORS, MemoryDisk, SECTOR_SIZE } from "./memory_disk.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("MemoryDisk repeats its pattern with the sector's number", () => {
  const disk = new MemoryDisk({ sectors: 64, readOnly: true, pattern: "sector {n}\n" });
  assertEquals(text(disk.readSector(3)), "sector 3\n".repeat(57).slice(0, 512));
  assertEquals(text(disk.readSector(63).subarray(0, 20)), "sector 63\nsector 63\n");
});

Deno.test("MemoryDisk shows its bytes, then zeros", () => {
  const bytes = Uint8Array.from({ length: 700 }, (_, i) => i & 0xff);
  const disk = new MemoryDisk({ sectors: 3, readOnly: false, bytes });
  const want = new Uint8Array(3 * SECTOR_SIZE);
  want.set(bytes);
  assertEquals(disk.contents(), want);
});

Deno.test("MemoryDisk keeps what is written, and copies of it", () => {
  const disk = new MemoryDisk({ sectors: 2, readOnly: false });
  const sector = new Uint8Array(SECTOR_SIZE).fill(7);
  disk.writeSector(1, sector);
  sector.fill(8);
  disk.readSector(1).fill(9);
  assertEquals(disk.readSector(1), new Uint8Array(SECTOR_SIZE).fill(7));
  assertEquals(disk.contents()[SECTOR_SIZE - 1], 0);
  assertEquals(disk.contents()[SECTOR_SIZE], 7);
});

Deno.test("MemoryDisk throws RangeError for what is not on it", () => {
  const disk = new MemoryDisk({ sectors: 2, readOnly: false });
  for (const n of [-1, 2, 0.5, NaN]) assertThrows(() => disk.readSector(n), RangeError);
  assertThrows(() => disk.writeSector(2, new Uint8Array(SECTOR_SIZE)), RangeError);
  assertThrows(() => disk.writeSector(0, new Uint8Array(1)), RangeError);
  const fixed = new MemoryDisk({ sectors: 1, readOnly: true });
  assertThrows(() => fixed.writeSector(0, new Uint8Array(SECTOR_SIZE)), RangeError, "read-only");
  for (const sectors of [0, MAX_DISK_SECTORS + 1, 1.5]) {
    assertThrows(() => new MemoryDisk({ sectors, readOnly: false }), RangeError);
  }
});

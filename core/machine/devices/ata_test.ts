import { assert, assertEquals } from "@std/assert";
import { TestLine } from "../testing.ts";
import { MemoryDisk } from "../memory_disk.ts";
import { Ata } from "./ata.ts";

const BSY = 0x80, READY = 0x50, DRQ = 0x08, ERR = 0x01, ABRT = 0x04, IDNF = 0x10;

function setup(options: { sectors?: number; readOnly?: boolean } = {}) {
  const { sectors = 64, readOnly = false } = options;
  const disk = new MemoryDisk({ sectors, readOnly, pattern: "sector {n}\n" });
  const line = new TestLine();
  return { disk, line, ata: new Ata([disk], line) };
}
/** Writes an LBA28 command. */
function command(ata: Ata, code: number, lba = 0, count = 1) {
  ata.write(6, 1, 0xe0 | lba >> 24 & 15);
  ata.write(2, 1, count & 0xff);
  ata.write(3, 1, lba & 0xff);
  ata.write(4, 1, lba >> 8 & 0xff);
  ata.write(5, 1, lba >> 16 & 0xff);
  ata.write(7, 1, code);
}
function readSector(ata: Ata, size: 1 | 2 | 4 = 2): Uint8Array {
  const bytes = new Uint8Array(512);
  for (let at = 0; at < 512; at += size) {
    const value = ata.read(0, size);
    for (let i = 0; i < size; i++) bytes[at + i] = value >>> (8 * i);
  }
  return bytes;
}
const text = (bytes: Uint8Array, length: number) =>
  new TextDecoder().decode(bytes.subarray(0, length));

for (const size of [1, 2, 4] as const) {
  Deno.test(`Ata reads sectors one after the other, ${size} bytes an access`, () => {
    const { ata, line } = setup();
    command(ata, 0x20, 3, 2);
    for (const n of [3, 4]) {
      assert(line.level, "an interrupt a sector");
      assertEquals(ata.read(7, 1), READY | DRQ);
      assert(!line.level, "reading the status takes it back");
      assertEquals(text(readSector(ata, size), 9), `sector ${n}\n`);
    }
    assert(!line.level);
    assertEquals(ata.read(7, 1), READY);
  });
}

Deno.test("Ata writes sectors, with an interrupt after each", () => {
  const { ata, disk, line } = setup();
  command(ata, 0x30, 62, 2);
  assert(!line.level, "none before the first");
  for (const [n, left] of [[62, DRQ], [63, 0]] as const) {
    for (let i = 0; i < 256; i++) ata.write(0, 2, n << 8 | i);
    assert(line.level);
    assertEquals(ata.read(7, 1), READY | left);
  }
  assertEquals([...disk.readSector(63).subarray(0, 4)], [0, 63, 1, 63]);
  assertEquals([...disk.readSector(62).subarray(508)], [254, 62, 255, 62]);
});

Deno.test("Ata takes a count of 0 as 256", () => {
  const { ata } = setup({ sectors: 300 });
  command(ata, 0x20, 0, 0);
  for (let n = 0; n < 256; n++) assertEquals(text(readSector(ata), 7), "sector ");
  assertEquals(ata.read(7, 1), READY);
});

const FAILURES = [
  { name: "past the end", code: 0x20, lba: 64, error: IDNF, at: 64, left: 1 },
  { name: "write past the end", code: 0x30, lba: 0xfffffff, error: IDNF, at: 0xfffffff, left: 1 },
  { name: "verify past the end", code: 0x40, lba: 63, count: 3, error: IDNF, at: 64, left: 2 },
  { name: "an unknown command", code: 0xff, lba: 0, error: ABRT, at: 0, left: 1 },
  { name: "IDENTIFY PACKET DEVICE", code: 0xa1, lba: 0, error: ABRT, at: 0, left: 1 },
];
for (const { name, code, lba, count, error, at, left } of FAILURES) {
  Deno.test(`Ata tells the error and the place when asked for ${name}`, () => {
    const { ata, line } = setup();
    command(ata, code, lba, count ?? 1);
    assert(line.level);
    assertEquals(ata.read(7, 1), READY | ERR);
    assertEquals(ata.read(1, 1), error);
    assertEquals(ata.read(2, 1), left);
    const shown = ata.read(3, 1) | ata.read(4, 1) << 8 | ata.read(5, 1) << 16 |
      (ata.read(6, 1) & 15) << 24;
    assertEquals(shown, at);
    assertEquals(ata.read(0, 2), 0xffff);
  });
}

Deno.test("Ata stops a read in the middle when the disk ends", () => {
  const { ata } = setup();
  command(ata, 0x20, 63, 2);
  readSector(ata);
  assertEquals(ata.read(7, 1), READY | ERR);
  assertEquals([ata.read(1, 1), ata.read(2, 1), ata.read(3, 1)], [IDNF, 1, 64]);
});

Deno.test("Ata refuses to write when the disk is read-only", () => {
  const { ata } = setup({ readOnly: true });
  command(ata, 0x30, 0, 1);
  assertEquals([ata.read(7, 1), ata.read(1, 1)], [READY | ERR, ABRT]);
});

Deno.test("Ata takes 48-bit addresses and counts from two writes each", () => {
  const { ata } = setup({ sectors: 1000 });
  ata.write(6, 1, 0x40);
  for (const [register, before, last] of [[2, 0, 1], [3, 0, 0x84], [4, 0, 3], [5, 0, 0]] as const) {
    ata.write(register, 1, before);
    ata.write(register, 1, last);
  }
  ata.write(7, 1, 0x24);
  assertEquals(text(readSector(ata), 11), "sector 900\n");
  ata.write(3, 1, 1);
  ata.write(3, 1, 0x85);
  ata.write(7, 1, 0x24);
  assertEquals([ata.read(7, 1), ata.read(1, 1)], [READY | ERR, IDNF]);
  ata.control.write(0, 1, 0x80);
  assertEquals(ata.read(3, 1), 1, "HOB shows the upper bytes");
  command(ata, 0x20, 5);
  assertEquals(text(readSector(ata), 9), "sector 5\n", "a 28-bit command takes no upper bytes");
});

Deno.test("Ata takes cylinder, head and sector", () => {
  const { ata } = setup({ sectors: 5000 });
  const at = (cylinder: number, head: number, sector: number) => {
    ata.write(6, 1, 0xa0 | head);
    for (const [register, value] of [[2, 1], [3, sector], [4, cylinder], [5, 0]] as const) {
      ata.write(register, 1, value);
    }
    ata.write(7, 1, 0x20);
  };
  at(2, 3, 4);
  assertEquals(text(readSector(ata), 12), `sector ${(2 * 16 + 3) * 63 + 3}\n`);
  at(0, 0, 0);
  assertEquals([ata.read(7, 1), ata.read(1, 1)], [READY | ERR, IDNF]);
});

Deno.test("Ata identifies itself", () => {
  const { ata } = setup({ sectors: 70_000 });
  command(ata, 0xec);
  const bytes = readSector(ata);
  const word = (n: number) => (bytes[2 * n] ?? 0) | (bytes[2 * n + 1] ?? 0) << 8;
  assertEquals(word(60) | word(61) << 16, 70_000);
  assertEquals(word(100) | word(101) << 16, 70_000);
  assertEquals(word(1), 69);
  assert(word(49) & 1 << 9 && word(83) & 1 << 10);
  for (const n of [83, 84, 87]) assertEquals(word(n) >> 14, 1, `word ${n} is valid`);
  const model = Array.from({ length: 13 }, (_, i) => String.fromCharCode(bytes[54 + (i ^ 1)] ?? 0));
  assertEquals(model.join(""), "TRIVISOR DISK");
});

Deno.test("Ata shows BSY during a software reset, then its signature", () => {
  const { ata, line } = setup();
  command(ata, 0x20, 5, 1);
  ata.control.write(0, 1, 4);
  assertEquals([line.level, ata.read(7, 1)], [false, BSY]);
  ata.write(7, 1, 0x20);
  ata.control.write(0, 1, 0);
  assertEquals(ata.control.read(0, 1), READY);
  assertEquals([1, 2, 3, 4, 5].map((offset) => ata.read(offset, 1)), [1, 1, 1, 0, 0]);
});

Deno.test("Ata keeps its interrupt to itself when nIEN is set", () => {
  const { ata, line } = setup();
  ata.control.write(0, 1, 2);
  command(ata, 0xe7);
  assert(!line.level);
  ata.control.write(0, 1, 0);
  assert(line.level);
  assertEquals(ata.control.read(0, 1), READY);
  assert(line.level, "alternate status does not take it back");
});

Deno.test("Ata makes an edge for each command, also when the status is not read in between", () => {
  const { ata, line } = setup();
  command(ata, 0xe7);
  command(ata, 0xe7);
  assertEquals(line.rises, 2);
});

Deno.test("Ata answers 0 for a device that is not there, and ignores commands to it", () => {
  const { ata, line } = setup();
  ata.write(6, 1, 0xb0);
  assertEquals(ata.read(7, 1), 0);
  ata.write(7, 1, 0xec);
  assert(!line.level);
  ata.write(6, 1, 0xa0);
  assertEquals(ata.read(7, 1), READY);
});

Deno.test("Ata keeps two disks apart", () => {
  const disks = ["one", "two"].map((pattern) =>
    new MemoryDisk({ sectors: 4, readOnly: false, pattern })
  );
  const ata = new Ata(disks, new TestLine());
  ata.write(6, 1, 0xf0);
  ata.write(2, 1, 1);
  ata.write(3, 1, 0);
  ata.write(7, 1, 0x20);
  ata.write(6, 1, 0xe0);
  assertEquals(text(readSector(ata), 6), "twotwo");
});

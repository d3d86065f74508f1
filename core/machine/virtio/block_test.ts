import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { MemoryDisk } from "../memory_disk.ts";
import { BLOCK_MAX_BYTES, BLOCK_STATUS, REQUEST, VirtioBlock } from "./block.ts";
import { FEATURE } from "./device.ts";
import { TestDriver } from "./testing.ts";

const NEXT = 1, WRITE = 2;
const HEADER = 0x8000, DATA = 0x9000, STATUS_BYTE = 0x8800;

function setup(options: { readOnly?: boolean } = {}) {
  const { readOnly = false } = options;
  const disk = new MemoryDisk({ sectors: 16, readOnly, pattern: "sector {n}\n" });
  return { disk, driver: new TestDriver(new VirtioBlock(disk)).start() };
}

/** Does one request in three descriptors; tells status and used length. */
function request(driver: TestDriver, type: number, sector: bigint, length: number, write: boolean) {
  driver.memory.writeU32(gpa(HEADER), type);
  driver.memory.writeU64(gpa(HEADER + 8), sector);
  driver.put(STATUS_BYTE, Uint8Array.of(0xee));
  driver.describe(0, 0, { address: HEADER, length: 16, flags: NEXT, next: 1 });
  driver.describe(0, 1, { address: DATA, length, flags: NEXT | (write ? WRITE : 0), next: 2 });
  driver.describe(0, 2, { address: STATUS_BYTE, length: 1, flags: WRITE });
  const before = driver.used(0).length;
  driver.offerChain(0, 0);
  driver.notify(0);
  return {
    status: driver.memory.read(gpa(STATUS_BYTE), 1)[0],
    length: driver.used(0)[before]?.length,
  };
}

Deno.test("VirtioBlock reads sectors", () => {
  const { driver } = setup();
  assertEquals(request(driver, REQUEST.IN, 3n, 1024, true), { status: 0, length: 1025 });
  assertEquals(driver.text(DATA, 9), "sector 3\n");
  assertEquals(driver.text(DATA + 512, 9), "sector 4\n");
  assert(driver.line.level);
});

Deno.test("VirtioBlock writes sectors", () => {
  const { driver, disk } = setup();
  driver.put(DATA, new Uint8Array(512).fill(0x5a));
  assertEquals(request(driver, REQUEST.OUT, 15n, 512, false), { status: 0, length: 1 });
  assertEquals(disk.readSector(15), new Uint8Array(512).fill(0x5a));
});

const REFUSED = [
  { name: "sectors past the end", type: REQUEST.IN, sector: 15n, length: 1024, write: true },
  {
    name: "a sector past 2^63",
    type: REQUEST.IN,
    sector: 2n ** 64n - 1n,
    length: 512,
    write: true,
  },
  { name: "half a sector", type: REQUEST.IN, sector: 0n, length: 256, write: true },
  { name: "a write past the end", type: REQUEST.OUT, sector: 16n, length: 512, write: false },
  {
    name: "a request nobody knows",
    type: 77,
    sector: 0n,
    length: 512,
    write: true,
    unsupported: 1,
  },
];
for (const { name, type, sector, length, write, unsupported } of REFUSED) {
  Deno.test(`VirtioBlock answers with an error when asked for ${name}`, () => {
    const { driver } = setup();
    const { status, length: used } = request(driver, type, sector, length, write);
    assertEquals(used, write ? 0 : 1, "of what is before the status nothing is written");
    assertEquals(status, unsupported ? BLOCK_STATUS.UNSUPP : BLOCK_STATUS.IOERR);
    assertEquals(driver.failures, []);
    assertEquals(request(driver, REQUEST.FLUSH, 0n, 0, true).status, 0, "and serves on");
  });
}

Deno.test("VirtioBlock offers F_RO and refuses writes when the disk is read-only", () => {
  const { driver } = setup({ readOnly: true });
  driver.set("DeviceFeaturesSel", 0);
  assert(driver.get("DeviceFeatures") & 1 << 5);
  assertEquals(request(driver, REQUEST.OUT, 0n, 512, false).status, BLOCK_STATUS.IOERR);
});

Deno.test("VirtioBlock tells its name and its size", () => {
  const { driver } = setup();
  assertEquals(request(driver, REQUEST.GET_ID, 0n, 20, true), { status: 0, length: 21 });
  assertEquals(driver.text(DATA, 13), "trivisor disk");
  assertEquals([0x100, 0x104, 0x114].map((at) => driver.mmio.read(at, 4)), [16, 0, 512]);
  assertEquals(driver.mmio.read(0x100, 1), 16);
  assertEquals(driver.mmio.read(0x1fc, 4), 0);
});

Deno.test("VirtioBlock takes any cut of header and data, also through an indirect table", () => {
  const { disk } = setup();
  const driver = new TestDriver(new VirtioBlock(disk))
    .start({ features: FEATURE.VERSION_1 | FEATURE.INDIRECT_DESC });
  const table = 0xa000;
  driver.memory.writeU32(gpa(HEADER), REQUEST.IN);
  driver.memory.writeU64(gpa(HEADER + 8), 7n);
  const parts = [
    { address: HEADER, length: 3, flags: NEXT, next: 1 },
    { address: HEADER + 3, length: 13, flags: NEXT, next: 2 },
    { address: DATA, length: 100, flags: NEXT | WRITE, next: 3 },
    { address: DATA + 100, length: 413, flags: WRITE },
  ];
  parts.forEach((part, i) => driver.describe(0, i, part, table));
  driver.describe(0, 5, { address: table, length: 64, flags: 4 });
  driver.offerChain(0, 5);
  driver.notify(0);
  assertEquals(driver.used(0), [{ id: 5, length: 513 }]);
  assertEquals(driver.text(DATA, 9), "sector 7\n");
  assertEquals(driver.memory.read(gpa(DATA + 512), 1)[0], 0);
});

Deno.test("VirtioBlock needs a reset when a request has no room for a status", () => {
  const { driver } = setup();
  driver.describe(0, 0, { address: HEADER, length: 16 });
  driver.offerChain(0, 0);
  driver.notify(0);
  assertEquals(driver.failures, ["Block request without a status byte"]);
  assertEquals(driver.get("Status") & 0x40, 0x40);
  assertEquals(driver.get("InterruptStatus"), 2);
});

Deno.test("VirtioBlock needs a reset when one notification asks for more than any disk holds", () => {
  const { driver } = setup();
  driver.start({ size: 128 });
  const length = 0x38000;
  driver.describe(0, 0, { address: HEADER, length: 16, flags: NEXT, next: 1 });
  for (let i = 1; i < 128; i++) {
    driver.describe(0, i, { address: 0, length, flags: WRITE | (i < 127 ? NEXT : 0), next: i + 1 });
  }
  const chains = Math.ceil(BLOCK_MAX_BYTES / (127 * length)) + 1;
  for (let i = 0; i < chains; i++) driver.offerChain(0, 0);
  driver.notify(0);
  assertEquals(driver.failures.length, 1);
});

import { assertEquals, assertThrows } from "@std/assert";
import { Bus } from "../../machine/bus.ts";
import type { Access } from "../../trace/exit.ts";
import { DeviceAccess, EnginePhysicalMemory } from "./physical.ts";
import { RAM } from "../../cpu/layout.ts";

const RAM_SIZE = 4096;
const DEVICE = 0x10000;

function memory(bus?: Bus, onDevice = () => {}): EnginePhysicalMemory {
  const buffer = new ArrayBuffer(RAM + RAM_SIZE);
  return new EnginePhysicalMemory(buffer, RAM_SIZE, bus, () => {}, onDevice);
}

/** What is thrown for an access that only the VMM can do. */
function accessOf(work: () => void): DeviceAccess {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof DeviceAccess) return thrown;
    throw thrown;
  }
  throw new Error("Nothing was thrown");
}

Deno.test("EnginePhysicalMemory leaves the guest once for 64 bits of a device, with all of the value", () => {
  const value = 0xfedcba9876543210n;
  const written = accessOf(() => memory().write(DEVICE, 8, value));
  assertEquals({ ...written }, { gpa: DEVICE, size: 8, write: true, value });

  const physical = memory();
  const read = accessOf(() => physical.read(DEVICE, 8));
  assertEquals([read.size, read.write], [8, false]);
  physical.answer(value);
  physical.begin();
  assertEquals(physical.read(DEVICE, 8), value);
});

Deno.test("EnginePhysicalMemory asks a device once for an instruction that is started again", () => {
  const physical = memory();
  accessOf(() => physical.read(DEVICE, 4));
  physical.answer(7n);
  physical.begin();
  assertEquals(physical.read(DEVICE, 4), 7n);
  // The second access of the same instruction is another question; of the next one, the first is, too.
  assertThrows(() => physical.read(DEVICE, 4));
  physical.done();
  assertThrows(() => physical.read(DEVICE, 4));
});

Deno.test("EnginePhysicalMemory takes 64 bits to a 32-bit bus in two cycles, the low one first", () => {
  const seen: Access[] = [];
  let accesses = 0;
  const physical = memory(new Bus((access) => seen.push(access)), () => accesses++);
  physical.stepping = true;
  physical.write(DEVICE, 8, 0x0000000200000001n);
  assertEquals(physical.read(DEVICE + 8, 8), 0xffffffffffffffffn);
  // For the one who pays, an access of the CPU is one, whatever the bus makes of it.
  assertEquals(accesses, 2);
  assertEquals(
    seen.map((a) => a.kind === "mmio" ? [a.direction, a.address, a.size, a.value] : a),
    [
      ["out", DEVICE, 4, 1],
      ["out", DEVICE + 4, 4, 2],
      ["in", DEVICE + 8, 4, 0xffffffff],
      ["in", DEVICE + 12, 4, 0xffffffff],
    ],
  );
});

Deno.test("EnginePhysicalMemory reads a ROM below 4 GiB, and leaves writes to it and to its low copy to the bus", () => {
  const size = 2 << 20;
  const rom = new Uint8Array(0x3_0000).map((_, i) => i >> 12);
  const buffer = new ArrayBuffer(RAM + size);
  const physical = new EnginePhysicalMemory(buffer, size, undefined, () => {}, () => {}, rom);
  const top = 2 ** 32;
  assertEquals(physical.read(top - 0x3_0000, 4), 0n);
  assertEquals(physical.read(top - 4, 4), 0x2f2f_2f2fn);
  assertEquals(physical.code(top - 0x1010, 64)?.length, 0x10);
  assertEquals(accessOf(() => physical.read(top - 0x3_0001, 1)).gpa, top - 0x3_0001);
  assertEquals(accessOf(() => physical.read(top - 2, 4)).gpa, top - 2);
  assertEquals(accessOf(() => physical.write(top - 4, 4, 1n)).gpa, top - 4);
  // RAM below 1 MiB: the last 128 KiB are the ROM's.
  physical.write(0xd_fffc, 4, 5n);
  assertEquals(accessOf(() => physical.write(0xe_0000, 4, 1n)).gpa, 0xe_0000);
  assertEquals(accessOf(() => physical.write(0xf_fffc, 4, 1n)).gpa, 0xf_fffc);
  physical.write(0x10_0000, 4, 6n);
  assertEquals([physical.read(0xd_fffc, 4), physical.read(0x10_0000, 4)], [5n, 6n]);
});

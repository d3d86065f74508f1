import { assertEquals, assertThrows } from "@std/assert";
import { type Gpa, gpa } from "../base/address.ts";
import { ByteMemory, GuestMemoryError } from "./memory.ts";

Deno.test("ByteMemory is little-endian at every width", () => {
  const memory = new ByteMemory(new Uint8Array(32));
  memory.writeU64(gpa(0), 0x8877665544332211n);
  assertEquals(memory.readU16(gpa(0)), 0x2211);
  assertEquals(memory.readU32(gpa(3)), 0x77665544);
  assertEquals(memory.readU64(gpa(0)), 0x8877665544332211n);
  memory.writeU16(gpa(8), 0xbbaa);
  memory.writeU32(gpa(10), 0xffeeddcc);
  assertEquals([...memory.read(gpa(8), 6)], [0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]);
});

Deno.test("ByteMemory.read() gives a copy", () => {
  const memory = new ByteMemory(new Uint8Array(8));
  memory.read(gpa(0), 8).fill(1);
  assertEquals(memory.readU64(gpa(0)), 0n);
});

Deno.test("ByteMemory tells of a write before it is done", () => {
  const seen: number[][] = [];
  const memory: ByteMemory = new ByteMemory(new Uint8Array(16), (address, length) => {
    seen.push([address, length, memory.readU16(gpa(4))]);
  });
  memory.writeU16(gpa(4), 1);
  memory.write(gpa(4), Uint8Array.of(2, 3, 4));
  memory.writeU64(gpa(8), 1n);
  assertEquals(seen, [[4, 2, 0], [4, 3, 1], [8, 8, 0x0302]]);
});

Deno.test("ByteMemory throws GuestMemoryError unless all of the range is RAM", () => {
  const memory = new ByteMemory(new Uint8Array(16));
  const attempts: (() => unknown)[] = [
    () => memory.read(gpa(16), 1),
    () => memory.read(gpa(0), 17),
    () => memory.read(gpa(2 ** 52 - 1), 2),
    () => memory.read(-1 as Gpa, 1),
    () => memory.read(0.5 as Gpa, 1),
    () => memory.read(gpa(0), -1),
    () => memory.readU16(gpa(15)),
    () => memory.readU32(gpa(13)),
    () => memory.readU64(gpa(9)),
    () => memory.write(gpa(15), new Uint8Array(2)),
    () => memory.writeU16(gpa(15), 0),
    () => memory.writeU32(gpa(13), 0),
    () => memory.writeU64(gpa(9), 0n),
  ];
  for (const attempt of attempts) assertThrows(attempt, GuestMemoryError);
  assertEquals(memory.read(gpa(16), 0).length, 0, "nothing is everywhere");
});

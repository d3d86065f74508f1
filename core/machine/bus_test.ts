import { assertEquals, assertThrows } from "@std/assert";
import type { Access } from "../trace/exit.ts";
import { Bus } from "./bus.ts";
import type { AccessSize, Device } from "./device.ts";

/** Answers its offset and size, and notes what is written. */
function probe(): Device & { written: number[][] } {
  const written: number[][] = [];
  return {
    written,
    read: (offset: number, size: AccessSize) => offset * 16 + size,
    write: (offset, size, value) => void written.push([offset, size, value]),
    save: () => ({}),
    restore: () => {},
  };
}

Deno.test("Bus gives each device its offsets, in two spaces", () => {
  const bus = new Bus();
  const [port, memory] = [probe(), probe()];
  bus.attach("port", 0x3f8, 8, "port", port);
  bus.attach("memory", 0x3f0, 16, "memory", memory);
  assertEquals([bus.read("port", 0x3fa, 1), bus.read("memory", 0x3fa, 4)], [0x21, 0xa4]);
  bus.write("port", 0x3ff, 2, 0x1234);
  assertEquals([port.written, memory.written], [[[7, 2, 0x1234]], []]);
  assertEquals([bus.claims("port", 0x3f7), bus.claims("memory", 0x3f7)], [false, true]);
});

Deno.test("Bus answers all ones where nobody is", () => {
  const bus = new Bus();
  assertEquals([1, 2, 4].map((size) => bus.read("port", 0x10, size as AccessSize)), [
    0xff,
    0xffff,
    0xffffffff,
  ]);
  bus.write("memory", 0xfee00000, 4, 1);
});

const OVERLAPS: [base: number, length: number, taken: boolean][] = [
  [0x3f0, 8, false],
  [0x3f0, 9, true],
  [0x3ff, 1, true],
  [0x400, 1, false],
  [0x3fa, 2, true],
  [0x300, 0x1000, true],
];
for (const [base, length, taken] of OVERLAPS) {
  Deno.test(`Bus ${taken ? "refuses" : "takes"} ${length} ports at ${base} beside 0x3f8 to 0x3ff`, () => {
    const bus = new Bus();
    bus.attach("port", 0x3f8, 8, "uart", probe());
    const attach = () => bus.attach("port", base, length, "other", probe());
    if (taken) assertThrows(attach, Error, "other overlaps uart at port 0x3f8");
    else attach();
  });
}

Deno.test("Bus tells of every access, of a write before the device acts on it", () => {
  const seen: (Access | string)[] = [];
  const bus = new Bus((access) => seen.push(access));
  bus.attach("port", 0xf4, 4, "debug-exit", { ...probe(), write: () => void seen.push("acted") });
  bus.write("port", 0xf4, 4, 7);
  bus.read("memory", 0x1000, 2);
  assertEquals(seen, [
    { kind: "io", device: "debug-exit", address: 0xf4, direction: "out", size: 4, value: 7 },
    "acted",
    { kind: "mmio", device: "none", address: 0x1000, direction: "in", size: 2, value: 0xffff },
  ]);
});

import { assertEquals } from "@std/assert";
import type { Access } from "../../trace/exit.ts";
import { accessOf, ConsoleBytes, loggedAccess } from "./access_log.ts";

const LINES: readonly [line: string, expected: Partial<Access> | undefined][] = [
  [
    "memory_region_ops_write cpu 0 mr 0x561d3479b6e0 addr 0x3f8 value 0x48 size 1 name 'serial'",
    { kind: "io", device: "uart", address: 0x3f8, direction: "out", size: 1, value: 0x48 },
  ],
  [
    "memory_region_ops_read cpu 0 mr 0x1 addr 0x4f9 value 0xffffffffffffffff size 1 name 'io'",
    { kind: "io", device: "none", address: 0x4f9, direction: "in", size: 1, value: 0xff },
  ],
  [
    "4711@1700000000.123456:memory_region_ops_write cpu 1 mr 0x1 addr 0xfee00300 value 0x951 size 4 name 'apic-msi'",
    { kind: "mmio", device: "none", address: 0xfee00300, direction: "out", size: 4, value: 0x951 },
  ],
  [
    "Invalid read at addr 0xFEB00000, size 4, region '(null)', reason: rejected",
    { kind: "mmio", device: "none", address: 0xfeb00000, direction: "in", size: 4, value: 0 },
  ],
  [
    "Invalid write at addr 0xFEB00000, size 2, region '(null)', reason: rejected",
    { kind: "mmio", device: "none", address: 0xfeb00000, direction: "out", size: 2, value: 0 },
  ],
  ["qemu-system-x86_64: warning: no accesses here", undefined],
  ["memory_region_ops_write cpu 0 mr 0x1 addr 0x3f8 value", undefined],
  ["", undefined],
];

const RANGES = [{ space: "port" as const, base: 0x3f8, length: 8, name: "uart" }];

for (const [line, expected] of LINES) {
  Deno.test(`loggedAccess() reads "${line.slice(0, 50)}"`, () => {
    const logged = loggedAccess(line);
    assertEquals(logged && accessOf(logged, RANGES), expected as Access | undefined);
  });
}

Deno.test("a port and an address of memory are told apart", () => {
  const logged = { cpu: 0, direction: "in" as const, address: 0x1_03f8, value: 0, size: 1 };
  assertEquals(accessOf(logged, RANGES), {
    kind: "mmio",
    device: "none",
    address: 0x1_03f8,
    direction: "in",
    size: 1,
    value: 0,
  });
});

Deno.test("ConsoleBytes: a byte goes out by the transmitter and the debug ports, but for DLAB and loopback", () => {
  const console = new ConsoleBytes();
  const out = (address: number, value: number) =>
    console.sent({ cpu: 0, direction: "out", address, value, size: 1 });
  const steps: readonly [address: number, value: number, sent: number | undefined][] = [
    [0x3f8, 0x41, 0x41],
    [0x3fb, 0x83, undefined], // DLAB
    [0x3f8, 0x01, undefined], // the divisor
    [0x3fb, 0x03, undefined],
    [0x3f8, 0x42, 0x42],
    [0x3fc, 0x10, undefined], // loopback
    [0x3f8, 0x43, undefined],
    [0x3fc, 0x03, undefined],
    [0x3f9, 0x44, undefined],
    [0xe9, 0x45, 0x45],
  ];
  assertEquals(steps.map(([address, value]) => out(address, value)), steps.map(([, , s]) => s));
  assertEquals(
    console.sent({ cpu: 0, direction: "in", address: 0x3f8, value: 1, size: 1 }),
    undefined,
  );
});

import { assert, assertEquals } from "@std/assert";
import { insDestination } from "./string_destination.ts";
import { FakeVcpu, madeExit } from "./testing.ts";

interface Row {
  readonly bytes: readonly number[];
  readonly bitness: 16 | 32 | 64;
  readonly rdi: bigint;
  readonly size?: number;
  readonly at: readonly bigint[];
}
/** The base of ES, where it counts. */
const BASE = 0x20000n;
const ROWS: Record<string, Row> = {
  "64-bit code has no base": {
    bytes: [0xf3, 0x6d],
    bitness: 64,
    rdi: 0x1_0000_1000n,
    at: [0x1_0000_1000n],
  },
  "67 makes 64-bit addresses 32-bit": {
    bytes: [0x67, 0xf3, 0x6d],
    bitness: 64,
    rdi: 0x1_0000_1000n,
    at: [0x1000n],
  },
  "it stands behind other prefixes": {
    bytes: [0xf3, 0x66, 0x67, 0x6d],
    bitness: 64,
    rdi: 0x1_0000_1000n,
    at: [0x1000n],
  },
  "16-bit code wraps at 64 KiB": {
    bytes: [0x6c],
    bitness: 16,
    rdi: 0x12345n,
    at: [BASE + 0x2345n],
  },
  "67 makes 32-bit addresses 16-bit": {
    bytes: [0x67, 0x6c],
    bitness: 32,
    rdi: 0x12345n,
    at: [BASE + 0x2345n],
  },
  "67 makes 16-bit addresses 32-bit": {
    bytes: [0x67, 0x6c],
    bitness: 16,
    rdi: 0x12345n,
    at: [BASE + 0x12345n],
  },
  "an element crosses into the next page": {
    bytes: [0x6d],
    bitness: 64,
    rdi: 0x1ffdn,
    size: 4,
    at: [0x1ffdn, 0x2000n],
  },
  "an element ends with the page": {
    bytes: [0x6d],
    bitness: 64,
    rdi: 0x1ffcn,
    size: 4,
    at: [0x1ffcn],
  },
};

for (const [when, { bytes, bitness, rdi, size = 1, at }] of Object.entries(ROWS)) {
  Deno.test(`insDestination() finds the place when ${when}`, () => {
    const vcpu = new FakeVcpu();
    vcpu.set("rdi", rdi);
    vcpu.setSegment("es", { ...vcpu.segment("es"), base: BASE });
    const detail = { port: 0x1f0, direction: "in", size, value: 0, string: true } as const;
    const exit = { ...madeExit("io", detail), bytes: Uint8Array.from(bytes), bitness };
    assert(exit.kind === "io");
    const found = insDestination(exit, vcpu);
    assertEquals([found[0], ...found.slice(1).map((a) => a & ~0xfffn)], [at[0], ...at.slice(1)]);
  });
}

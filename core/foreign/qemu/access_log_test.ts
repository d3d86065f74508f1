import { assert, assertEquals } from "@std/assert";
import { Random } from "../../engine/oracle/random.ts";
import type { Access } from "../../trace/exit.ts";
import { accessOf, ConsoleBytes, type LoggedAccess, readLine } from "./access_log.ts";

const WRITE = "memory_region_ops_write cpu 0 mr 0x561d3479b6e0 addr 0x3f8 value 0x48 size 1";

const LINES: readonly [line: string, expected: Access | "words" | "broken"][] = [
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
  [WRITE, { kind: "io", device: "uart", address: 0x3f8, direction: "out", size: 1, value: 0x48 }],
  ["qemu-system-x86_64: warning: no accesses here", "words"],
  ["qemu-system-x86_64: terminating on signal 15 from pid 4711 (deno)", "words"],
  ["Invalid read at addr 0x1, size 4, region 'pit', reason: invalid size (min:1 max:1)", "words"],
  ["EAX=00000000\tEBX=00000000", "words"],
  ["", "words"],
  ["memory_region_ops_write cpu 0 mr 0x1 addr 0x3f8 value", "broken"],
  [`${WRITE} name 'serial`, "broken"],
  [`${WRITE} name 'serial' and more`, "broken"],
  [`rubbish ${WRITE} name 'serial'`, "broken"],
  [`${WRITE} name 'serial'${WRITE} name 'serial'`, "broken"],
  [WRITE.replace("cpu 0", "cpu -2"), "broken"],
  [WRITE.replace("size 1", "size 3"), "broken"],
  [WRITE.replace("size 1", "size 99999999999999999999"), "broken"],
  [WRITE.replace("0x48", "0x1ffffffffffffffff"), "broken"],
  [WRITE.replace("0x3f8", "0x20000000000000"), "broken"],
  ["Invalid read at addr 0x1, size 4, region '(null)', reason: because", "broken"],
  ["rubbish\0", "broken"],
  ["\x1b[31mred", "broken"],
];

const RANGES = [{ space: "port" as const, base: 0x3f8, length: 8, name: "uart" }];

for (const [line, expected] of LINES) {
  Deno.test(`readLine() reads ${JSON.stringify(line)}`, () => {
    const read = readLine(line);
    assertEquals(typeof read === "string" ? read : accessOf(read, RANGES), expected);
  });
}

/** A line as QEMU writes it of this access; what a verdict does not rest on is taken from another line. */
function written({ direction, cpu, address, size }: LoggedAccess, line: string): string {
  const hex = address.toString(16);
  const doing = direction === "in" ? "read" : "write";
  if (line.startsWith("I")) {
    return `Invalid ${doing} at addr 0x${hex.toUpperCase()}, size ${size}, region '(null)', reason: rejected`;
  }
  const [, when = ""] = /^(\d+@\d+\.\d+:)/.exec(line) ?? [];
  const [, mr] = / mr 0x([0-9a-f]+) /.exec(line) ?? [];
  const [, value] = / value 0x([0-9a-f]+) /.exec(line) ?? [];
  const [, name = ""] = /( name '[^']*')$/.exec(line) ?? [];
  return `${when}memory_region_ops_${doing} cpu ${cpu} mr 0x${mr} addr 0x${hex} value 0x${value} size ${size}${name}`;
}

/** Cut, doubled, run together, or with other characters in it. */
function damaged(random: Random, lines: readonly string[]): string {
  let line = random.pick(lines);
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(line.length + 1), end = at + random.below(line.length - at + 1);
    const other = random.pick(lines);
    const character = String.fromCharCode(random.below(random.oneIn(4) ? 0xd800 : 0x7f));
    line = random.pick([
      line.slice(0, at),
      line.slice(at),
      line.slice(0, at) + line.slice(end),
      line.slice(0, at) + character + line.slice(at + 1),
      line.slice(0, at) + random.pick([..."0123456789abcdefx -',"]) + line.slice(at),
      line.slice(0, at) + other.slice(random.below(other.length + 1)),
      line + other,
    ]);
  }
  return line;
}

Deno.test("readLine() makes an access of no line but those that QEMU writes, and fails on none", () => {
  const seed = 2026, trials = 20_000;
  const random = new Random(seed);
  const lines = LINES.map(([line]) => line);
  const seen = { access: 0, words: 0, broken: 0 };
  for (let i = 0; i < trials; i++) {
    const line = damaged(random, lines);
    const read = readLine(line);
    if (typeof read === "string") seen[read]++;
    else {
      seen.access++;
      // Leading zeros are all that may differ.
      const zeros = / 0x0+(?=[0-9a-fA-F])/g;
      assertEquals(written(read, line).replace(zeros, " 0x"), line.replace(zeros, " 0x"), line);
      assert(Number.isSafeInteger(read.address), line);
    }
  }
  for (const [what, times] of Object.entries(seen)) {
    assert(times > trials / 200, `${times} ${what}, seed ${seed}`);
  }
});

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

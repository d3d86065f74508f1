// The I/O APIC among several CPUs: its entries name those that get an interrupt, and any of them may end it.
import { assertEquals } from "@std/assert";
import { IOAPIC_BASE } from "../guest/layout.ts";
import { pcBoard } from "./board.ts";
import { Bus } from "./bus.ts";
import { TestClock, TestPower, TestSink } from "./testing.ts";

const CPUS = 3, INPUT = 14, LINE_PORT = 0x200e;

function machine() {
  const bus = new Bus();
  const board = pcBoard({
    bus,
    clock: new TestClock(),
    power: new TestPower(),
    console: new TestSink(),
    disks: [],
    cpus: CPUS,
    legacy: { memory: 1 << 20, gate: { set: () => {} } },
  });
  const set = (register: number, value: number) => {
    bus.write("memory", IOAPIC_BASE, 4, register);
    bus.write("memory", IOAPIC_BASE + 0x10, 4, value);
  };
  const entry = (destination: number, low: number) => {
    set(0x11 + 2 * INPUT, destination << 24);
    set(0x10 + 2 * INPUT, low);
  };
  const line = (level: number) => bus.write("port", LINE_PORT, 1, level);
  const lapics = board.cpus.flatMap(({ lapic }) => lapic ?? []);
  for (const [n, lapic] of lapics.entries()) {
    lapic.write(0xf0, 4, 0x1ff);
    lapic.write(0xd0, 4, 0x1000000 << n);
    lapic.write(0x350, 4, 0x10000);
  }
  const waiting = () => lapics.map((lapic) => lapic.pending());
  return { lapics, entry, line, waiting };
}

/** Destination, lower half of the entry, who gets it. */
const ENTRIES: [what: string, destination: number, low: number, who: boolean[]][] = [
  ["a CPU by its id", 1, 0x41, [false, true, false]],
  ["all by their ids", 0xff, 0x41, [true, true, true]],
  ["some by their logical ids", 0b101, 0x841, [true, false, true]],
  ["one of several, for lowest priority", 0b110, 0x941, [false, true, false]],
  ["nobody by an id that is not there", 7, 0x41, [false, false, false]],
  ["nobody while it is masked", 1, 0x1_0041, [false, false, false]],
];

for (const [what, destination, low, who] of ENTRIES) {
  Deno.test(`an entry of the I/O APIC names ${what}`, () => {
    const { entry, line, waiting } = machine();
    entry(destination, low);
    line(1);
    assertEquals(waiting(), who);
  });
}

Deno.test("a level asks again when the CPU that got it has ended it, and shows in its TMR", () => {
  const { lapics: [, second], entry, line, waiting } = machine();
  entry(1, 0x8041);
  line(1);
  assertEquals([second?.acknowledge(), second?.read(0x1a0, 4)], [0x41, 2]);
  assertEquals(waiting(), [false, false, false]);
  second?.write(0xb0, 4, 0);
  assertEquals(waiting(), [false, true, false]);
});

Deno.test("an entry may bring an NMI, or INIT", () => {
  const { lapics: [, second], entry, line } = machine();
  let nmis = 0;
  if (second) second.onNmi = () => nmis++;
  entry(1, 0x400);
  line(1);
  assertEquals(nmis, 1);
  line(0);
  entry(1, 0x500);
  line(1);
  assertEquals(second?.takeSignal(), { is: "init" });
});

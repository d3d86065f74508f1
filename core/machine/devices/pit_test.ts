import { assert, assertEquals } from "@std/assert";
import { TestClock, TestLine } from "../testing.ts";
import { Pit, PIT_HZ, pitTicks, pitTickTime } from "./pit.ts";
import { SystemControl } from "./system_control.ts";

function setup() {
  const clock = new TestClock();
  const line = new TestLine();
  const pit = new Pit(clock, line);
  const startRises = line.rises;
  return { clock, line, pit, rises: () => line.rises - startRises };
}
/** Programs a channel: control word, then count, low byte first. */
function program(pit: Pit, channel: number, mode: number, count: number, bcd = 0) {
  pit.write(3, 1, channel << 6 | 0x30 | mode << 1 | bcd);
  pit.write(channel, 1, count & 0xff);
  pit.write(channel, 1, count >> 8);
}
/** Latches and reads a channel. */
function count(pit: Pit, channel: number): number {
  pit.write(3, 1, channel << 6);
  return pit.read(channel, 1) | pit.read(channel, 1) << 8;
}
function status(pit: Pit, channel: number): number {
  pit.write(3, 1, 0xe0 | 2 << channel);
  return pit.read(channel, 1);
}

Deno.test("pitTickTime() is the first nanosecond of its tick, also after years", () => {
  for (const tick of [0, 1, 2, 7, PIT_HZ - 1, PIT_HZ, 123_456_789, PIT_HZ * 86_400 * 90 + 17]) {
    const ns = pitTickTime(tick);
    assertEquals(pitTicks(ns), tick);
    if (ns > 0) assertEquals(pitTicks(ns - 1), tick - 1);
  }
});

Deno.test("Pit interrupts once when mode 0 reaches its terminal count", () => {
  const { clock, line, pit, rises } = setup();
  program(pit, 0, 0, 1000);
  assert(!line.level);
  clock.advanceTo(pitTickTime(1001) - 1);
  assert(!line.level);
  clock.advanceTo(pitTickTime(1001));
  assert(line.level);
  clock.advanceTo(1e9);
  assertEquals(rises(), 1);
  assertEquals(clock.nextAlarm(), undefined);
});

Deno.test("Pit ticks a thousand seconds in modes 2 and 3 without drift", () => {
  for (const mode of [2, 3, 6, 7]) {
    const { clock, pit, rises } = setup();
    program(pit, 0, mode, 59659);
    assertEquals(rises(), 0, "programming makes no edge");
    clock.advanceTo(pitTickTime(1 + 59659 * 20_000) - 1);
    assertEquals(rises(), 19_999);
    clock.advanceTo(pitTickTime(1 + 59659 * 20_000));
    assertEquals(rises(), 20_000);
  }
});

Deno.test("Pit makes one edge when time jumps over many, and keeps its phase", () => {
  const { clock, pit, rises } = setup();
  program(pit, 0, 2, 1000);
  clock.jumpTo(pitTickTime(1 + 5_500));
  assertEquals(rises(), 1);
  assertEquals(clock.nextAlarm(), pitTickTime(1 + 6_000));
});

Deno.test("Pit stops counting in mode 0 between the two bytes of a new count", () => {
  const { clock, line, pit, rises } = setup();
  program(pit, 0, 0, 1000);
  clock.advanceTo(pitTickTime(500));
  pit.write(0, 1, 100);
  clock.advanceTo(pitTickTime(5000));
  assertEquals([line.level, rises()], [false, 0]);
  pit.write(0, 1, 0);
  clock.advanceTo(pitTickTime(5101));
  assertEquals([line.level, rises()], [true, 1]);
});

Deno.test("Pit takes 0 as 65536, in BCD as 10000", () => {
  for (const [bcd, period] of [[0, 65536], [1, 10000]] as const) {
    const { clock, pit } = setup();
    program(pit, 0, 2, 0, bcd);
    assertEquals(clock.nextAlarm(), pitTickTime(1 + period));
  }
});

Deno.test("Pit counts down by one in mode 2, by two in mode 3, in BCD when asked", () => {
  const cases = [
    { mode: 2, bcd: 0, load: 1000, after: 10, want: 990 },
    { mode: 2, bcd: 0, load: 1000, after: 1010, want: 990 },
    { mode: 3, bcd: 0, load: 1000, after: 10, want: 980 },
    { mode: 3, bcd: 0, load: 1001, after: 10, want: 980 },
    { mode: 3, bcd: 0, load: 1000, after: 500, want: 1000 },
    { mode: 0, bcd: 0, load: 1000, after: 1001, want: 0xffff },
    { mode: 2, bcd: 1, load: 0x1000, after: 10, want: 0x0990 },
    { mode: 4, bcd: 1, load: 0x0005, after: 6, want: 0x9999 },
  ];
  for (const { mode, bcd, load, after, want } of cases) {
    const { clock, pit } = setup();
    program(pit, 0, mode, load, bcd);
    clock.advanceTo(pitTickTime(1 + after));
    assertEquals(count(pit, 0), want, `mode ${mode}, ${load} after ${after}`);
  }
});

Deno.test("Pit finishes the round before a new count counts in mode 2", () => {
  const { clock, pit } = setup();
  program(pit, 0, 2, 1000);
  clock.advanceTo(pitTickTime(501));
  pit.write(0, 1, 200);
  pit.write(0, 1, 0);
  clock.advanceTo(pitTickTime(511));
  assertEquals(count(pit, 0), 490);
  assertEquals(clock.nextAlarm(), pitTickTime(1001));
  clock.advanceTo(pitTickTime(1001));
  assertEquals(clock.nextAlarm(), pitTickTime(1201));
});

Deno.test("Pit keeps a latched count until it is read", () => {
  const { clock, pit } = setup();
  program(pit, 0, 2, 1000);
  clock.advanceTo(pitTickTime(101));
  pit.write(3, 1, 0x00);
  clock.advanceTo(pitTickTime(201));
  pit.write(3, 1, 0x00);
  assertEquals(pit.read(0, 1) | pit.read(0, 1) << 8, 900);
  assertEquals(pit.read(0, 1) | pit.read(0, 1) << 8, 800);
});

Deno.test("Pit reads back status, then count", () => {
  const { clock, pit } = setup();
  program(pit, 0, 3, 1000);
  assertEquals(status(pit, 0), 0xf6, "OUT high, null count");
  clock.advanceTo(pitTickTime(1 + 600));
  pit.write(3, 1, 0xc2);
  assertEquals(pit.read(0, 1), 0x36);
  assertEquals(pit.read(0, 1) | pit.read(0, 1) << 8, 800);
});

Deno.test("Pit writes and reads one byte alone when told so", () => {
  const { clock, pit } = setup();
  pit.write(3, 1, 0x14);
  pit.write(0, 1, 100);
  clock.advanceTo(pitTickTime(11));
  assertEquals([pit.read(0, 1), pit.read(0, 1)], [90, 90]);
  pit.write(3, 1, 0x24);
  pit.write(0, 1, 2);
  assertEquals(clock.nextAlarm(), pitTickTime(12 + 512));
  clock.advanceTo(pitTickTime(12 + 12));
  assertEquals(pit.read(0, 1), 1);
});

Deno.test("SystemControl gates channel 2 and shows its output", () => {
  const { clock, pit } = setup();
  const port = new SystemControl(clock, pit);
  program(pit, 2, 0, 1000);
  clock.advanceTo(5_000_000);
  assertEquals(port.read(0, 1) & 0x21, 0, "the gate is low: it does not count");
  port.write(0, 1, 1);
  const start = pitTicks(5_000_000);
  clock.advanceTo(pitTickTime(start + 1 + 999));
  assertEquals(port.read(0, 1) & 0x21, 1);
  clock.advanceTo(pitTickTime(start + 1 + 1000));
  assertEquals(port.read(0, 1) & 0x21, 0x21);
});

Deno.test("SystemControl triggers a one-shot by the gate", () => {
  const { clock, pit } = setup();
  const port = new SystemControl(clock, pit);
  program(pit, 2, 1, 100);
  clock.advanceTo(1_000_000);
  assert(pit.out2);
  port.write(0, 1, 1);
  const start = pitTicks(1_000_000) + 1;
  clock.advanceTo(pitTickTime(start + 99));
  assert(!pit.out2);
  clock.advanceTo(pitTickTime(start + 100));
  assert(pit.out2);
});

Deno.test("SystemControl toggles the refresh bit with time", () => {
  const { clock, pit } = setup();
  const port = new SystemControl(clock, pit);
  const bits = [0, 16_000, 31_000, 46_000].map((ns) => (clock.advanceTo(ns), port.read(0, 1) & 16));
  assertEquals(bits, [0, 16, 0, 16]);
});

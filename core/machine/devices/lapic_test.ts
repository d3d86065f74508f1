import { assert, assertEquals } from "@std/assert";
import { TestClock } from "../testing.ts";
import { Lapic } from "./lapic.ts";
import { Pic } from "./pic.ts";

const TPR = 0x80, PPR = 0xa0, EOI = 0xb0, LDR = 0xd0, SVR = 0xf0, ESR_ = 0x280;
const ICR = 0x300, ICR_HIGH = 0x310, LVT_TIMER = 0x320, LVT_LINT0 = 0x350, LVT_ERROR = 0x370;
const INITIAL = 0x380, CURRENT = 0x390, DIVIDE = 0x3e0;
const MASKED = 0x10000, PERIODIC = 1 << 17, DEADLINE = 2 << 17;

function setup() {
  const clock = new TestClock();
  const pic = new Pic();
  const lapic = new Lapic({ clock, pic });
  const set = (offset: number, value: number) => lapic.write(offset, 4, value);
  const get = (offset: number) => lapic.read(offset, 4);
  set(SVR, 0x1ff);
  return { clock, pic, lapic, set, get };
}
/** Takes everything that can be taken without an end of interrupt. */
function take(lapic: Lapic): number[] {
  const vectors = [];
  while (lapic.pending()) vectors.push(lapic.acknowledge());
  return vectors;
}

Deno.test("Lapic delivers by class of priority, one of a class at a time", () => {
  const { lapic, set } = setup();
  for (const vector of [0x31, 0x42, 0x45, 0x50]) lapic.deliver(vector);
  assertEquals(take(lapic), [0x50]);
  set(EOI, 0);
  assertEquals(take(lapic), [0x45]);
  lapic.deliver(0x60);
  assertEquals(take(lapic), [0x60]);
  set(EOI, 0);
  assertEquals(take(lapic), [], "0x42 is of the class in service");
  set(EOI, 0);
  assertEquals(take(lapic), [0x42]);
  assertEquals(lapic.inService, 0x42);
});

Deno.test("Lapic holds back what the task priority is not below", () => {
  const { lapic, set, get } = setup();
  lapic.deliver(0x51);
  set(TPR, 0x50);
  assert(!lapic.pending());
  assertEquals(get(PPR), 0x50);
  assertEquals(lapic.acknowledge(), 0xff, "the spurious vector");
  lapic.taskPriority = 0x4f;
  assertEquals(take(lapic), [0x51]);
  assertEquals(get(PPR), 0x50);
});

Deno.test("Lapic shows IRR and ISR in words of 32 vectors", () => {
  const { lapic, get } = setup();
  lapic.deliver(0xff);
  lapic.deliver(0x21);
  assertEquals([get(0x270), get(0x210)], [0x80000000, 2]);
  lapic.acknowledge();
  assertEquals([get(0x270), get(0x170)], [0, 0x80000000]);
});

Deno.test("Lapic tells onEoi of every end of interrupt, by register or by call", () => {
  const { lapic, set } = setup();
  const ended: number[] = [];
  lapic.onEoi = (vector) => ended.push(vector);
  set(EOI, 0);
  lapic.deliver(0x40);
  lapic.acknowledge();
  set(EOI, 0);
  lapic.deliver(0x41);
  lapic.acknowledge();
  assertEquals(lapic.endOfInterrupt(), 0x41);
  assertEquals(lapic.endOfInterrupt(), undefined);
  assertEquals(ended, [0x40, 0x41]);
});

Deno.test("Lapic accepts nothing while software has disabled it", () => {
  const { lapic, set, get } = setup();
  set(LVT_TIMER, 0x40);
  set(SVR, 0xff);
  lapic.deliver(0x40);
  assert(!lapic.pending());
  assertEquals(get(LVT_TIMER), 0x40 | MASKED);
  set(LVT_TIMER, 0x40);
  assertEquals(get(LVT_TIMER), 0x40 | MASKED, "the mask can't be taken away");
});

Deno.test("Lapic lets the PIC's interrupts through, from the start and until LINT0 is masked", () => {
  const { pic, lapic, set, get } = setup();
  pic.master.write(0, 1, 0x11);
  for (const word of [0x20, 4, 1]) pic.master.write(1, 1, word);
  pic.line(3).set(true);
  lapic.deliver(0x99);
  lapic.taskPriority = 0xff;
  assertEquals(take(lapic), [0x23], "whatever the priorities");
  assertEquals(get(0x100 + 0x10), 0, "and without being in service here");
  pic.master.write(0, 1, 0x20);
  pic.line(4).set(true);
  set(LVT_LINT0, 0x700 | MASKED);
  assert(!lapic.pending());
  set(LVT_LINT0, 0x700);
  assert(lapic.pending());
});

Deno.test("Lapic sends interrupts to itself, by shorthand and by name", () => {
  const { lapic, set } = setup();
  set(LDR, 0x02000000);
  const sent = (high: number, low: number) => {
    set(ICR_HIGH, high);
    set(ICR, low);
    const vectors = take(lapic);
    vectors.forEach(() => set(EOI, 0));
    return vectors;
  };
  assertEquals(sent(0, 0x40041), [0x41]);
  assertEquals(sent(0, 0x80042), [0x42]);
  assertEquals(sent(0, 0xc0043), []);
  assertEquals(sent(0, 0x00044), [0x44]);
  assertEquals(sent(0x05000000, 0x00045), []);
  assertEquals(sent(0xff000000, 0x00046), [0x46]);
  assertEquals(sent(0x03000000, 0x00847), [0x47]);
  assertEquals(sent(0x01000000, 0x00848), []);
  let nmis = 0;
  lapic.onNmi = () => nmis++;
  assertEquals(sent(0, 0x40400), []);
  assertEquals(nmis, 1);
});

Deno.test("Lapic notes illegal vectors and registers as errors", () => {
  const { lapic, set, get } = setup();
  set(LVT_ERROR, 0x70);
  set(ICR, 0x40003);
  set(0x400, 0);
  assertEquals(get(ESR_), 0);
  set(ESR_, 0);
  assertEquals(get(ESR_), 0xa0);
  assertEquals(take(lapic), [0x70]);
  lapic.deliver(3);
  set(ESR_, 0);
  assertEquals(get(ESR_), 0x40);
});

const DIVISORS = [[0, 2], [1, 4], [2, 8], [3, 16], [8, 32], [9, 64], [10, 128], [11, 1]] as const;
for (const [code, divisor] of DIVISORS) {
  Deno.test(`Lapic's timer counts every ${divisor} ns when the divide configuration is ${code}`, () => {
    const { clock, lapic, set, get } = setup();
    set(LVT_TIMER, 0x40);
    set(DIVIDE, code);
    set(INITIAL, 1000);
    clock.advanceTo(100 * divisor);
    assertEquals(get(CURRENT), 900);
    clock.advanceTo(1000 * divisor - 1);
    assert(!lapic.pending());
    clock.advanceTo(1000 * divisor);
    assertEquals([take(lapic), get(CURRENT)], [[0x40], 0]);
    assertEquals(clock.nextAlarm(), undefined);
  });
}

Deno.test("Lapic's timer goes on without drift when it is periodic", () => {
  const { clock, lapic, set, get } = setup();
  set(DIVIDE, 11);
  set(LVT_TIMER, 0x40 | PERIODIC);
  clock.advanceTo(7);
  set(INITIAL, 3333);
  let ticks = 0;
  lapic.onEoi = () => ticks++;
  for (let n = 1; n <= 3000; n++) {
    clock.advanceTo(7 + 3333 * n);
    take(lapic);
    set(EOI, 0);
  }
  assertEquals([ticks, get(CURRENT)], [3000, 3333]);
  clock.jumpTo(7 + 3333 * 4000 + 5);
  assertEquals(clock.nextAlarm(), 7 + 3333 * 4001);
  set(INITIAL, 0);
  assertEquals(clock.nextAlarm(), undefined);
});

Deno.test("Lapic's timer spares the host when its period is shorter than a microsecond", () => {
  const { clock, set } = setup();
  set(DIVIDE, 11);
  set(LVT_TIMER, 0x40 | PERIODIC);
  set(INITIAL, 1);
  assertEquals(clock.advanceTo(1_000_000), 1000);
});

Deno.test("Lapic's timer fires at a value of the TSC in deadline mode", () => {
  const { clock, lapic, set, get } = setup();
  lapic.timer.deadline = 50n;
  assertEquals(lapic.timer.deadline, 0n, "not in another mode");
  set(LVT_TIMER, 0x41 | DEADLINE);
  set(INITIAL, 100);
  assertEquals(get(INITIAL), 0);
  lapic.timer.deadline = 5000n;
  clock.advanceTo(4999);
  assert(!lapic.pending());
  clock.advanceTo(5000);
  assertEquals([take(lapic), lapic.timer.deadline], [[0x41], 0n]);
  set(EOI, 0);
  lapic.timer.deadline = 1n;
  clock.advanceTo(5001);
  assertEquals(take(lapic), [0x41], "at once when it is past");
  lapic.timer.deadline = 2n ** 64n - 1n;
  assertEquals(clock.nextAlarm(), undefined);
});

Deno.test("Lapic's timer counts on while it is masked, and tells nothing afterwards", () => {
  const { clock, lapic, set, get } = setup();
  set(DIVIDE, 11);
  set(LVT_TIMER, 0x40 | MASKED);
  set(INITIAL, 1000);
  assertEquals(clock.nextAlarm(), undefined);
  clock.advanceTo(400);
  assertEquals(get(CURRENT), 600);
  clock.advanceTo(2000);
  set(LVT_TIMER, 0x40);
  clock.advanceTo(3000);
  assertEquals([lapic.pending(), get(CURRENT)], [false, 0]);
});

Deno.test("Lapic's timer keeps its count when the divisor changes", () => {
  const { clock, set, get } = setup();
  set(DIVIDE, 11);
  set(LVT_TIMER, 0x40);
  set(INITIAL, 1000);
  clock.advanceTo(400);
  set(DIVIDE, 0);
  assertEquals(get(CURRENT), 600);
  assertEquals(clock.nextAlarm(), 400 + 2 * 600);
});

import { assert, assertEquals, assertThrows } from "@std/assert";
import { TestLine } from "../testing.ts";
import { Pic } from "./pic.ts";

/** Programs both chips as PC firmware does: vectors 0x20 and 0x28, nothing masked. */
function setup(options: { icw1?: number; icw4?: number } = {}) {
  const int = new TestLine();
  const pic = new Pic(int);
  const { icw1 = 0x11, icw4 = 0x01 } = options;
  pic.master.write(0, 1, icw1);
  pic.slave.write(0, 1, icw1);
  for (const word of [0x20, 0x04, icw4]) pic.master.write(1, 1, word);
  for (const word of [0x28, 0x02, icw4 & ~0x10]) pic.slave.write(1, 1, word);
  return { pic, int };
}
const raise = (pic: Pic, ...irqs: number[]) => irqs.forEach((n) => pic.line(n).set(true));
const lower = (pic: Pic, ...irqs: number[]) => irqs.forEach((n) => pic.line(n).set(false));

/** Takes and ends everything pending; tells the vectors in the order in which they came. */
function drain(pic: Pic): number[] {
  const vectors = [];
  while (pic.pending() && vectors.length < 100) {
    const vector = pic.acknowledge();
    vectors.push(vector);
    if (vector >= 0x28) pic.slave.write(0, 1, 0x20);
    pic.master.write(0, 1, 0x20);
  }
  return vectors;
}

Deno.test("Pic delivers nothing when it has not been programmed", () => {
  const pic = new Pic();
  raise(pic, 0, 8);
  assert(!pic.pending());
});

Deno.test("Pic delivers by priority, the slave's lines between 1 and 3", () => {
  const { pic, int } = setup();
  raise(pic, 7, 15, 3, 8, 0, 1);
  assert(int.level);
  assertEquals(drain(pic), [0x20, 0x21, 0x28, 0x2f, 0x23, 0x27]);
  assert(!int.level);
});

Deno.test("Pic wants a new edge after an edge-triggered request was taken", () => {
  const { pic } = setup();
  raise(pic, 4);
  assertEquals(drain(pic), [0x24]);
  assertEquals(drain(pic), []);
  lower(pic, 4);
  raise(pic, 4);
  assertEquals(drain(pic), [0x24]);
});

Deno.test("Pic asks again for a level-triggered line until it falls", () => {
  const { pic } = setup();
  pic.elcr.write(0, 2, 0xffff);
  assertEquals(pic.elcr.read(0, 2), 0xdef8);
  raise(pic, 5);
  assertEquals(pic.acknowledge(), 0x25);
  pic.master.write(0, 1, 0x20);
  assert(pic.pending());
  lower(pic, 5);
  assert(!pic.pending());
});

Deno.test("Pic holds back what is masked, and shows it in IRR", () => {
  const { pic } = setup();
  pic.master.write(1, 1, 0x10);
  raise(pic, 4);
  assert(!pic.pending());
  assertEquals(pic.master.read(0, 1), 0x10);
  assertEquals(pic.master.read(1, 1), 0x10);
  pic.master.write(1, 1, 0);
  assertEquals(drain(pic), [0x24]);
});

Deno.test("Pic holds back lower and equal priorities until the end of interrupt", () => {
  const { pic } = setup();
  raise(pic, 3);
  assertEquals(pic.acknowledge(), 0x23);
  raise(pic, 4, 1);
  assertEquals(pic.acknowledge(), 0x21);
  pic.master.write(0, 1, 0x0b);
  assertEquals(pic.master.read(0, 1), 0x0a);
  pic.master.write(0, 1, 0x20);
  assert(!pic.pending());
  pic.master.write(0, 1, 0x63);
  assertEquals(pic.acknowledge(), 0x24);
});

Deno.test("Pic tells the spurious vector when the request is gone by the time it is taken", () => {
  const { pic } = setup();
  raise(pic, 3);
  assert(pic.pending());
  lower(pic, 3);
  assert(!pic.pending());
  assertEquals(pic.acknowledge(), 0x27);
  pic.master.write(0, 1, 0x0b);
  assertEquals(pic.master.read(0, 1), 0, "nothing is in service");
});

Deno.test("Pic ends interrupts by itself in AEOI mode", () => {
  const { pic } = setup({ icw4: 0x03 });
  raise(pic, 1, 9, 4, 12);
  const taken = [1, 2, 3, 4].map(() => pic.acknowledge());
  assertEquals(taken, [0x21, 0x29, 0x2c, 0x24]);
  assert(!pic.pending());
});

Deno.test("Pic rotates priorities on a rotating EOI, and by command", () => {
  const { pic } = setup();
  raise(pic, 1);
  assertEquals(pic.acknowledge(), 0x21);
  pic.master.write(0, 1, 0xa0);
  raise(pic, 0, 4);
  assertEquals(pic.acknowledge(), 0x24);
  pic.master.write(0, 1, 0x20);
  pic.master.write(0, 1, 0xc0 | 7);
  lower(pic, 1);
  raise(pic, 1);
  assertEquals(drain(pic), [0x20, 0x21]);
});

Deno.test("Pic lets lower priorities through in special mask mode", () => {
  const { pic } = setup();
  raise(pic, 1);
  pic.acknowledge();
  raise(pic, 6);
  assert(!pic.pending());
  pic.master.write(1, 1, 0x02);
  pic.master.write(0, 1, 0x68);
  assertEquals(pic.acknowledge(), 0x26);
  pic.master.write(0, 1, 0x20);
  pic.master.write(0, 1, 0x20);
  pic.master.write(0, 1, 0x0b);
  assertEquals(pic.master.read(0, 1), 0x02, "a non-specific EOI spares the masked one");
});

Deno.test("Pic nests the slave's interrupts when the master is in special fully nested mode", () => {
  for (const [icw4, nested] of [[0x01, false], [0x11, true]] as const) {
    const { pic } = setup({ icw4 });
    raise(pic, 12);
    assertEquals(pic.acknowledge(), 0x2c);
    raise(pic, 9);
    assertEquals(pic.pending(), nested);
  }
});

Deno.test("Pic gives the slave's next request an edge of its own", () => {
  const { pic } = setup();
  raise(pic, 8, 14);
  assertEquals(pic.acknowledge(), 0x28);
  pic.slave.write(0, 1, 0x20);
  pic.master.write(0, 1, 0x20);
  assertEquals(pic.acknowledge(), 0x2e);
});

Deno.test("Pic answers a poll with the request, and takes it", () => {
  const { pic } = setup();
  raise(pic, 6);
  pic.master.write(0, 1, 0x0c);
  assertEquals(pic.master.read(0, 1), 0x86);
  assert(!pic.pending());
  pic.master.write(0, 1, 0x20);
  pic.master.write(0, 1, 0x0c);
  assertEquals(pic.master.read(0, 1), 0);
});

Deno.test("Pic forgets edges, mask and service when it is initialized again", () => {
  const { pic } = setup();
  raise(pic, 3, 5);
  pic.acknowledge();
  pic.master.write(1, 1, 0xff);
  pic.master.write(0, 1, 0x11);
  for (const word of [0x40, 0x04, 0x01]) pic.master.write(1, 1, word);
  assert(!pic.pending(), "an input that stays high makes no edge");
  lower(pic, 3);
  raise(pic, 3);
  assertEquals(pic.acknowledge(), 0x43);
});

Deno.test("Pic.line() throws RangeError for lines that are not there", () => {
  for (const n of [-1, 2, 16, 1.5]) assertThrows(() => new Pic().line(n), RangeError);
});

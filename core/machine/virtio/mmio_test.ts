import { assert, assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { TestSink } from "../testing.ts";
import { VirtioConsole } from "./console.ts";
import { FEATURE, STATUS } from "./device.ts";
import { AVAIL, type Descriptor, MEMORY_SIZE, queueBase, TestDriver, USED } from "./testing.ts";

const NEXT = 1, WRITE = 2, INDIRECT = 4;
const TRANSMIT = 1;
const READY = STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK | STATUS.DRIVER_OK;

function setup(options?: { size?: number; features?: bigint }) {
  const sink = new TestSink();
  return { sink, driver: new TestDriver(new VirtioConsole(sink)).start(options) };
}
const fresh = () => new TestDriver(new VirtioConsole(new TestSink()));

/** Sends a chain that starts at descriptor 0. */
function send(driver: TestDriver, descriptors: Descriptor[]) {
  descriptors.forEach((d, i) => driver.describe(TRANSMIT, i, d));
  driver.offerChain(TRANSMIT, 0);
  driver.notify(TRANSMIT);
}

Deno.test("VirtioMmio identifies itself", () => {
  const driver = fresh();
  assertEquals(driver.get("MagicValue"), 0x74726976);
  assertEquals([driver.get("Version"), driver.get("DeviceID")], [2, 3]);
  driver.set("DeviceFeaturesSel", 1);
  assertEquals(driver.get("DeviceFeatures"), 1);
  driver.set("DeviceFeaturesSel", 2);
  assertEquals(driver.get("DeviceFeatures"), 0);
  assertEquals(driver.get("QueueSizeMax"), 128);
  driver.set("QueueSel", 2);
  assertEquals(driver.get("QueueSizeMax"), 0);
  assertEquals(driver.mmio.read(0, 1), 0, "control registers are 32 bits wide");
  assertEquals(driver.mmio.read(1, 4), 0);
});

const FEATURE_SETS: [name: string, features: bigint, ok: boolean][] = [
  ["VERSION_1 alone", FEATURE.VERSION_1, true],
  ["all that is offered", FEATURE.VERSION_1 | 7n << 28n & ~(1n << 30n) | 4n, true],
  ["no VERSION_1", 0n, false],
  ["one that was not offered", FEATURE.VERSION_1 | 2n, false],
];
for (const [name, features, ok] of FEATURE_SETS) {
  Deno.test(`VirtioMmio ${ok ? "agrees to" : "refuses"} ${name}`, () => {
    const driver = fresh();
    driver.set("Status", STATUS.ACKNOWLEDGE | STATUS.DRIVER);
    driver.offer(features);
    driver.set("Status", STATUS.ACKNOWLEDGE | STATUS.DRIVER | STATUS.FEATURES_OK);
    assertEquals((driver.get("Status") & STATUS.FEATURES_OK) !== 0, ok);
    driver.set("Status", READY);
    assertEquals(driver.get("Status") === READY, ok, "DRIVER_OK only with FEATURES_OK");
  });
}

Deno.test("VirtioMmio does nothing with a queue before DRIVER_OK", () => {
  const sink = new TestSink();
  const driver = new TestDriver(new VirtioConsole(sink));
  driver.setUp(TRANSMIT, 8);
  send(driver, [{ address: 0x8000, length: 4 }]);
  assertEquals([sink.text, driver.used(TRANSMIT).length], ["", 0]);
  assertEquals(driver.accesses.length, 1, "but the notification is seen");
});

Deno.test("VirtioMmio ignores a notification when there is no such queue", () => {
  const { driver } = setup();
  for (const queue of [2, 0xffffffff]) driver.notify(queue);
  assertEquals(driver.accesses, []);
});

Deno.test("VirtioMmio keeps a ready queue as it was set up", () => {
  const { driver } = setup();
  driver.set("QueueSel", TRANSMIT);
  driver.set("QueueSize", 3);
  driver.set("QueueDescLow", 1);
  send(driver, [{ address: 0x8000, length: 4 }]);
  assertEquals([driver.failures, driver.used(TRANSMIT).length], [[], 1]);
});

Deno.test("VirtioMmio forgets everything on a reset, and can be started again", () => {
  const { driver, sink } = setup();
  send(driver, [{ address: 0x8000, length: 4, flags: NEXT, next: 0 }]);
  assertEquals(driver.get("Status"), READY | STATUS.NEEDS_RESET);
  driver.set("Status", READY);
  assertEquals(driver.get("Status"), READY | STATUS.NEEDS_RESET, "only a reset ends it");
  driver.notify(TRANSMIT);
  assertEquals(driver.used(TRANSMIT).length, 0);
  driver.set("Status", 0);
  assertEquals([driver.get("Status"), driver.get("InterruptStatus")], [0, 0]);
  assert(!driver.line.level);
  driver.set("QueueSel", TRANSMIT);
  assertEquals(driver.get("QueueReady"), 0);
  driver.memory.writeU16(gpa(queueBase(TRANSMIT) + AVAIL + 2), 0);
  driver.start();
  driver.put(0x8000, "back");
  send(driver, [{ address: 0x8000, length: 4 }]);
  assertEquals(sink.text, "back");
});

const ODD_QUEUES: [name: string, size: number, base: number, reason: string][] = [
  ["size 0", 0, 0x1000, "not a power of two"],
  ["size 3", 3, 0x1000, "not a power of two"],
  ["a size beyond the largest", 256, 0x1000, "not a power of two up to 128"],
  ["an unaligned base", 8, 0x1008, "not aligned to 16"],
  ["a base past the end of RAM", 8, MEMORY_SIZE, "not in RAM"],
  ["a used ring past the end of RAM", 8, MEMORY_SIZE - USED, "Used ring"],
];
for (const [name, size, base, reason] of ODD_QUEUES) {
  Deno.test(`VirtioMmio needs a reset when a queue has ${name}`, () => {
    const { driver } = setup();
    driver.set("QueueSel", TRANSMIT);
    driver.set("QueueReady", 0);
    driver.setUp(TRANSMIT, size, base);
    assertEquals(driver.get("QueueReady"), 0);
    assert(driver.failures[0]?.includes(reason), driver.failures[0]);
    assertEquals(driver.get("InterruptStatus"), 2);
    assert(driver.line.level);
  });
}

const BROKEN: [name: string, descriptors: Descriptor[], reason: string][] = [
  ["points at itself", [{ address: 0, length: 1, flags: NEXT, next: 0 }], "loops"],
  [
    "goes round",
    [
      { address: 0, length: 1, flags: NEXT, next: 1 },
      { address: 0, length: 1, flags: NEXT, next: 0 },
    ],
    "loops",
  ],
  ["leaves the table", [{ address: 0, length: 1, flags: NEXT, next: 8 }], "Descriptor 8 of 8"],
  ["leaves RAM", [{ address: MEMORY_SIZE - 1, length: 2 }], "not in RAM"],
  ["lies beyond 2^52", [{ address: 2n ** 64n - 1n, length: 2 }], "0xffffffffffffffff, 2 bytes"],
  ["has a length that overflows", [{ address: 0x1000, length: 0xffffffff }], "not in RAM"],
  [
    "is readable after writable",
    [{ address: 0, length: 1, flags: NEXT | WRITE, next: 1 }, { address: 0, length: 1 }],
    "Device-readable",
  ],
  ["is indirect, unasked", [{ address: 0x8000, length: 16, flags: INDIRECT }], "not negotiated"],
];
for (const [name, descriptors, reason] of BROKEN) {
  Deno.test(`VirtioMmio needs a reset when a chain ${name}`, () => {
    const { driver, sink } = setup();
    send(driver, descriptors);
    assertEquals([sink.text, driver.used(TRANSMIT).length], ["", 0]);
    assert(driver.failures[0]?.includes(reason), driver.failures[0]);
    assertEquals(driver.failures.length, 1);
    assertEquals(driver.get("Status"), READY | STATUS.NEEDS_RESET);
  });
}

const TABLE = 0x8000;
const BROKEN_INDIRECT: [
  name: string,
  outer: Partial<Descriptor>,
  inner: Descriptor[],
  reason: string,
][] = [
  ["has a next", { flags: INDIRECT | NEXT }, [], "not the last"],
  ["has an empty table", { length: 0 }, [], "table of 0 bytes"],
  ["has half an entry", { length: 24 }, [], "table of 24 bytes"],
  ["lies outside RAM", { address: MEMORY_SIZE }, [], "not in RAM"],
  ["nests", {}, [{ address: 0, length: 16, flags: INDIRECT }], "in an indirect table"],
  ["loops", {}, [{ address: 0, length: 1, flags: NEXT, next: 0 }], "loops"],
  ["leaves its table", {}, [{ address: 0, length: 1, flags: NEXT, next: 1 }], "Descriptor 1 of 1"],
];
for (const [name, outer, inner, reason] of BROKEN_INDIRECT) {
  Deno.test(`VirtioMmio needs a reset when an indirect descriptor ${name}`, () => {
    const { driver } = setup({ features: FEATURE.VERSION_1 | FEATURE.INDIRECT_DESC });
    inner.forEach((d, i) => driver.describe(TRANSMIT, i, d, TABLE));
    send(driver, [{ address: TABLE, length: 16, flags: INDIRECT, ...outer }]);
    assert(driver.failures[0]?.includes(reason), driver.failures[0]);
  });
}

Deno.test("VirtioMmio needs a reset when more is available than the queue holds", () => {
  const { driver } = setup();
  driver.memory.writeU16(gpa(queueBase(TRANSMIT) + AVAIL + 2), 9);
  driver.notify(TRANSMIT);
  assertEquals(driver.failures, ["Available index is 9 ahead in a queue of 8"]);
});

Deno.test("VirtioMmio comes to an end when the used ring lies on the available ring", () => {
  const { driver } = setup();
  driver.set("QueueSel", TRANSMIT);
  driver.set("QueueReady", 0);
  driver.set("QueueDeviceLow", queueBase(TRANSMIT) + AVAIL);
  driver.set("QueueReady", 1);
  driver.describe(TRANSMIT, 0, { address: 0x8000, length: 1 });
  driver.offerChain(TRANSMIT, 0);
  driver.notify(TRANSMIT);
  assertEquals(driver.used(TRANSMIT).length, 0);
});

Deno.test("VirtioMmio serves 70000 chains through a queue of 8, across the wrap of its indexes", () => {
  const { driver, sink } = setup();
  driver.put(0x8000, "abcde");
  for (let n = 0; n < 5; n++) driver.describe(TRANSMIT, n, { address: 0x8000 + n, length: 1 });
  for (let i = 0; i < 70_000; i++) {
    driver.offerChain(TRANSMIT, i % 5);
    driver.notify(TRANSMIT);
  }
  assertEquals(sink.text, "abcde".repeat(14_000));
  assertEquals(driver.memory.readU16(gpa(queueBase(TRANSMIT) + USED + 2)), 70_000 & 0xffff);
});

Deno.test("VirtioMmio holds its interrupt back when the driver asks for that", () => {
  const { driver } = setup();
  driver.memory.writeU16(gpa(queueBase(TRANSMIT) + AVAIL), 1);
  send(driver, [{ address: 0x8000, length: 1 }]);
  assert(!driver.line.level);
});

Deno.test("VirtioMmio interrupts at the used event when event indexes are negotiated", () => {
  const { driver } = setup({ features: FEATURE.VERSION_1 | FEATURE.EVENT_IDX });
  const usedEvent = queueBase(TRANSMIT) + AVAIL + 4 + 2 * 8;
  const availEvent = queueBase(TRANSMIT) + USED + 4 + 8 * 8;
  driver.memory.writeU16(gpa(usedEvent), 2);
  const levels = [1, 2, 3, 4].map(() => {
    send(driver, [{ address: 0x8000, length: 1 }]);
    const { level } = driver.line;
    driver.set("InterruptACK", 3);
    return level;
  });
  assertEquals(levels, [false, false, true, false]);
  assertEquals(driver.memory.readU16(gpa(availEvent)), 4);
});

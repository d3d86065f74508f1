// Random queues: whatever the rings and descriptors hold, a notification comes to an end, nothing is thrown, and the device
// either has served or says that it needs a reset.
import { assert } from "@std/assert";
import fc from "fast-check";
import { gpa } from "../../base/address.ts";
import { MemoryDisk } from "../memory_disk.ts";
import { TestSink } from "../testing.ts";
import { VirtioBlock } from "./block.ts";
import { VirtioConsole } from "./console.ts";
import { FEATURE, STATUS, type VirtioDevice } from "./device.ts";
import { AVAIL, type Descriptor, MEMORY_SIZE, queueBase, TestDriver } from "./testing.ts";

const SEED = 20_260_102;
const SIZE = 8;

const DEVICES: [name: string, make: () => VirtioDevice][] = [
  ["console", () => {
    const device = new VirtioConsole(new TestSink());
    device.receive(new Uint8Array(4096).fill(0x61));
    return device;
  }],
  ["block", () => new VirtioBlock(new MemoryDisk({ sectors: 16, readOnly: false }))],
];

/** Mostly what drivers write, sometimes what none would. Addresses may hit the queue itself. */
const descriptor = fc.record({
  address: fc.oneof(
    { weight: 6, arbitrary: fc.nat(MEMORY_SIZE - 1) },
    { weight: 2, arbitrary: fc.nat(0x3000).map((at) => queueBase(0) + at) },
    { weight: 1, arbitrary: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) },
  ),
  length: fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(0, 1, 16, 32, 512, 513, 1024) },
    { weight: 1, arbitrary: fc.integer({ min: 0, max: 0xffffffff }) },
  ),
  flags: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(0, 1, 1, 2, 3, 3, 4) },
    { weight: 1, arbitrary: fc.nat(0xffff) },
  ),
  next: fc.oneof({ weight: 8, arbitrary: fc.nat(SIZE - 1) }, {
    weight: 1,
    arbitrary: fc.nat(0xffff),
  }),
});
/** Two requests by the book, in descriptors 0 to 5: header, data, status. */
const sound: readonly Descriptor[] = [0, 3].flatMap((first) => [
  { address: 0x8000, length: 16, flags: 1, next: first + 1 },
  { address: 0x9000, length: 512, flags: first === 0 ? 3 : 1, next: first + 2 },
  { address: 0xa000, length: 1, flags: 2 },
]);
/** In some places something else. */
const descriptors = fc.array(fc.option(descriptor, { freq: 6 }), {
  minLength: SIZE,
  maxLength: SIZE,
}).map((odd) => odd.map((d, i) => d ?? sound[i] ?? { address: 0x8000, length: 16 }));
const queue = fc.record({
  descriptors: fc.oneof(descriptors, fc.array(descriptor, { minLength: SIZE, maxLength: SIZE })),
  heads: fc.array(
    fc.oneof({ weight: 3, arbitrary: fc.constantFrom(0, 3) }, {
      weight: 1,
      arbitrary: fc.nat(SIZE),
    }),
    { minLength: SIZE, maxLength: SIZE },
  ),
  available: fc.oneof({ weight: 8, arbitrary: fc.nat(SIZE) }, {
    weight: 1,
    arbitrary: fc.nat(0xffff),
  }),
  header: fc.array(fc.constantFrom(0, 0, 0, 1, 4, 8), { minLength: 16, maxLength: 16 }),
});

for (const [name, make] of DEVICES) {
  Deno.test(`the ${name} device comes to an end when its queues hold anything at all`, () => {
    let served = 0;
    let gaveUp = 0;
    fc.assert(
      fc.property(fc.array(queue, { minLength: 1, maxLength: 4 }), fc.boolean(), (rounds, more) => {
        const features = FEATURE.VERSION_1 |
          (more ? FEATURE.INDIRECT_DESC | FEATURE.EVENT_IDX : 0n);
        const driver = new TestDriver(make()).start({ size: SIZE, features });
        for (const { descriptors, heads, available, header } of rounds) {
          for (let n = 0; n < driver.mmio.device.queueSizes.length; n++) {
            descriptors.forEach((d, i) => driver.describe(n, i, d));
            const avail = queueBase(n) + AVAIL;
            heads.forEach((head, i) => driver.memory.writeU16(gpa(avail + 4 + 2 * i), head));
            driver.memory.writeU16(gpa(avail + 2), available);
            driver.put(0x8000, Uint8Array.from(header));
            driver.notify(n);
            served += driver.used(n).length;
          }
        }
        const asked = (driver.get("Status") & STATUS.NEEDS_RESET) !== 0;
        assert(asked === (driver.failures.length === 1), "it says so once");
        assert(driver.failures.length <= 1);
        if (asked) gaveUp++;
      }),
      { seed: SEED, numRuns: 500 },
    );
    // Both ends are reached, or the test would show nothing.
    assert(served > 50 && gaveUp > 50, `${served} served, ${gaveUp} gave up`);
  });
}

// The contract of every device, held by all of them on one board: whatever a guest does, they answer, in range and without
// throwing; and a machine restored from saved state goes on exactly as the one it was saved from.
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { gpa } from "../base/address.ts";
import { LAPIC_BASE, VIRTIO_MMIO_BASE, VIRTIO_MMIO_STRIDE } from "../guest/layout.ts";
import type { Access } from "../trace/exit.ts";
import { attachVirtio, pcBoard } from "./board.ts";
import { Bus, type Space } from "./bus.ts";
import type { AccessSize, Device, DeviceState } from "./device.ts";
import { MemoryDisk } from "./memory_disk.ts";
import { ByteMemory } from "./memory.ts";
import { TestClock, TestPower, TestSink } from "./testing.ts";

const SEED = 20_260_101;
const RAM = 0x10000;
const SECTORS = 8;

/** A bus that remembers what is attached to it. */
class ListingBus extends Bus {
  readonly attached: { space: Space; base: number; length: number; device: Device }[] = [];
  override attach(space: Space, base: number, length: number, name: string, device: Device): void {
    super.attach(space, base, length, name, device);
    this.attached.push({ space, base, length, device });
  }
}

class Machine {
  readonly accesses: Access[] = [];
  readonly bus = new ListingBus();
  readonly clock = new TestClock();
  readonly sink = new TestSink();
  readonly power = new TestPower();
  readonly bytes = new Uint8Array(RAM);
  readonly disk: MemoryDisk;
  readonly #board;
  readonly #virtio;

  constructor(disk?: Uint8Array) {
    const { bus, clock, sink: console, power } = this;
    this.disk = new MemoryDisk({
      sectors: SECTORS,
      readOnly: false,
      ...(disk ? { bytes: disk } : { pattern: "sector {n}, " }),
    });
    this.#board = pcBoard({
      bus,
      clock,
      console,
      power,
      disks: [this.disk],
      legacy: {
        memory: 0x10_0000,
        gate: { set: () => {} },
        rom: Uint8Array.of(0xea, 0, 0, 0, 0xf0),
      },
    });
    this.#virtio = attachVirtio({
      bus,
      console,
      memory: new ByteMemory(this.bytes),
      disks: [this.disk],
      line: this.#board.line,
      observe: (access) => void this.accesses.push(access),
    });
  }

  /** Leaves every device in the middle of something. */
  prepare(): this {
    const port = (address: number, ...values: number[]) =>
      values.forEach((value) => this.bus.write("port", address, 1, value));
    for (const [at, vector] of [[0x20, 0x20], [0xa0, 0x28]] as const) {
      port(at, 0x11);
      port(at + 1, vector, at === 0x20 ? 4 : 2, 1, 0);
    }
    port(0x43, 0x34);
    port(0x40, 0x10, 0x27);
    port(0x43, 0x00);
    this.bus.read("port", 0x40, 1);
    port(0x3f9, 0x0f);
    port(0x3fa, 0x81);
    port(0x3fc, 0x08);
    port(0x1f6, 0xe0);
    port(0x1f2, 2);
    port(0x1f7, 0x20);
    this.bus.read("port", 0x1f0, 2);
    for (const [offset, value] of [[0xf0, 0x1ff], [0x320, 0x20040], [0x380, 5_000_000]] as const) {
      this.#board.cpus[0].bus.write("memory", LAPIC_BASE + offset, 4, value);
    }
    for (const slot of [0, 1]) this.#startVirtio(slot);
    this.#board.uart.receive(new TextEncoder().encode("typed"));
    this.#virtio.console.receive(new TextEncoder().encode("typed"));
    return this;
  }

  /** Queue 0 at 0x1000, queue 1 at 0x4000 of each slot's half of RAM, with a chain offered on each. */
  #startVirtio(slot: number): void {
    const set = (offset: number, value: number) =>
      this.bus.write("memory", VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_STRIDE + offset, 4, value);
    const memory = new ByteMemory(this.bytes);
    for (const [offset, value] of [[0x70, 3], [0x24, 1], [0x20, 1], [0x70, 11]] as const) {
      set(offset, value);
    }
    for (const queue of [0, 1]) {
      const base = 0x8000 * slot + 0x1000 + 0x3000 * queue;
      const setup = [[0x30, queue], [0x38, 8], [0x80, base], [0x90, base + 0x1000], [
        0xa0,
        base + 0x2000,
      ], [0x44, 1]] as const;
      for (const [offset, value] of setup) set(offset, value);
      for (let i = 0; i < 8; i++) {
        memory.writeU64(gpa(base + 16 * i), BigInt(0x100 + 16 * i));
        memory.writeU32(gpa(base + 16 * i + 8), 16);
        memory.writeU16(gpa(base + 16 * i + 12), queue === 0 && i > 0 ? 2 : 0);
        memory.writeU16(gpa(base + 0x1004 + 2 * i), i);
      }
      memory.writeU16(gpa(base + 0x1002), 2);
    }
    set(0x70, 15);
    for (const queue of [0, 1]) set(0x50, queue);
    for (const queue of [0, 1]) memory.writeU16(gpa(0x8000 * slot + 0x2002 + 0x3000 * queue), 5);
  }

  /** Does one step, and tells all that can be seen of it. */
  step(step: Step): unknown {
    switch (step.do) {
      case "read": {
        const value = this.#board.cpus[0].bus.read(step.space, step.address, step.size);
        assert(Number.isInteger(value) && value >= 0 && value < 2 ** (8 * step.size), `${value}`);
        return value;
      }
      case "write":
        return this.#board.cpus[0].bus.write(step.space, step.address, step.size, step.value);
      case "notify":
        return this.bus.write(
          "memory",
          VIRTIO_MMIO_BASE + step.slot * VIRTIO_MMIO_STRIDE + 0x50,
          4,
          step.queue,
        );
      case "wait":
        return this.clock.advanceTo(this.clock.now() + step.ns);
      case "interrupt":
        return this.#board.cpus[0].interrupts.pending() &&
          this.#board.cpus[0].interrupts.acknowledge();
    }
  }

  /** What is on the bus, and the page of the CPU's own. */
  get ranges() {
    const { lapic } = this.#board.cpus[0];
    const own = { space: "memory" as const, base: LAPIC_BASE, length: 0x1000 };
    return [...this.bus.attached, ...(lapic ? [{ ...own, device: lapic }] : [])];
  }

  save(): DeviceState[] {
    return this.ranges.map(({ device }) => device.save());
  }

  /** A new machine with the same memory, disk and time, and the saved state of the devices. */
  twin(): Machine {
    const twin = new Machine(this.disk.contents());
    twin.bytes.set(this.bytes);
    twin.clock.jumpTo(this.clock.now());
    const states: DeviceState[] = JSON.parse(JSON.stringify(this.save()));
    for (const [i, { device }] of twin.ranges.entries()) device.restore(states[i] ?? {});
    return twin;
  }

  /** All that outlives a step. */
  seen(): unknown {
    const { sink: { text }, power: { events }, accesses } = this;
    return { text, events, accesses, bytes: this.bytes, disk: this.disk.contents() };
  }
}

type Step =
  | { do: "read"; space: Space; address: number; size: AccessSize }
  | { do: "write"; space: Space; address: number; size: AccessSize; value: number }
  | { do: "notify"; slot: number; queue: number }
  | { do: "wait"; ns: number }
  | { do: "interrupt" };

const RANGES = new Machine().ranges;

/** An access somewhere in or just past a device; half of those to memory are aligned words, as drivers make them. */
const access = fc.record({
  range: fc.constantFrom(...RANGES),
  at: fc.nat(0x1000),
  size: fc.constantFrom<AccessSize>(1, 2, 4),
  aligned: fc.boolean(),
  value: fc.oneof(fc.nat(0xff), fc.integer({ min: 0, max: 0xffffffff })),
}).map(({ range, at, size, aligned, value }) => {
  const offset = at % (range.length + 4);
  const word = aligned && range.space === "memory";
  return {
    space: range.space,
    address: range.base + (word ? offset & ~(range.length > 0x200 ? 15 : 3) : offset),
    size: word ? 4 as const : size,
    value: value % 2 ** (8 * (word ? 4 : size)),
  };
});
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: access.map((rest) => ({ do: "read" as const, ...rest })) },
  { weight: 8, arbitrary: access.map((rest) => ({ do: "write" as const, ...rest })) },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("notify" as const), slot: fc.nat(1), queue: fc.nat(1) }),
  },
  { weight: 1, arbitrary: fc.nat(20_000_000).map((ns) => ({ do: "wait" as const, ns })) },
  { weight: 1, arbitrary: fc.constant({ do: "interrupt" as const }) },
);

Deno.test("every device answers in range and never throws, whatever the guest does", () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(step, { maxLength: 200 }), (prepared, steps) => {
      const machine = new Machine();
      if (prepared) machine.prepare();
      for (const s of steps) machine.step(s);
    }),
    { seed: SEED, numRuns: 300 },
  );
});

Deno.test("every device goes on as it was when it is restored in the middle of an operation", () => {
  const some = fc.array(step, { maxLength: 100 });
  fc.assert(
    fc.property(some, some, (before, after) => {
      const original = new Machine().prepare();
      for (const s of before) original.step(s);
      const twin = original.twin();
      assertEquals(twin.save(), original.save());
      original.sink.text = "";
      original.power.events.length = original.accesses.length = 0;
      for (const s of after) assertEquals(twin.step(s), original.step(s), JSON.stringify(s));
      assertEquals(twin.seen(), original.seen());
      assertEquals(twin.save(), original.save());
    }),
    { seed: SEED, numRuns: 150 },
  );
});

for (const [i, { space, base, length }] of RANGES.entries()) {
  const name = `the device at ${space} 0x${base.toString(16)}`;
  Deno.test(`${name} answers at unknown offsets, at every size`, () => {
    const { device } = new Machine().ranges[i]!;
    for (const offset of [length, length + 1, length + 0x1000]) {
      for (const size of [1, 2, 4] as const) {
        device.write(offset, size, 0xa5);
        const value = device.read(offset, size);
        assert(Number.isInteger(value) && value >= 0 && value < 2 ** (8 * size));
      }
    }
  });

  const state = new Machine().save()[i] ?? {};
  if (Object.keys(state).length > 0) {
    Deno.test(`${name} refuses a saved state that is not its own`, () => {
      const { device } = new Machine().ranges[i]!;
      for (const field of Object.keys(state)) {
        assertThrows(() => device.restore({ ...state, [field]: { odd: true } }), TypeError);
      }
    });
  }
}

import { assertEquals } from "@std/assert";
import { gpa } from "../base/address.ts";
import { LAPIC_BASE, VIRTIO_MMIO_BASE, VIRTIO_MMIO_STRIDE } from "../guest/layout.ts";
import { attachVirtio, pcBoard } from "./board.ts";
import { Bus } from "./bus.ts";
import { MemoryDisk } from "./memory_disk.ts";
import { ByteMemory } from "./memory.ts";
import { TestClock, TestPower, TestSink } from "./testing.ts";

function setup(options: { sectors?: number; lapic?: boolean } = {}) {
  const { sectors = 8, lapic = false } = options;
  const bus = new Bus();
  const clock = new TestClock();
  const console = new TestSink();
  const power = new TestPower();
  const disks = sectors > 0 ? [new MemoryDisk({ sectors, readOnly: false })] : [];
  const board = pcBoard({ bus, clock, console, disks, power, lapic });
  const out = (port: number, value: number) => bus.write("port", port, 1, value);
  const memory = new ByteMemory(new Uint8Array(0x10000));
  const virtio = attachVirtio({
    bus,
    memory,
    console,
    disks,
    line: board.line,
    observe: () => {},
  });
  for (const [at, vector, wiring] of [[0x20, 0x20, 4], [0xa0, 0x28, 2]] as const) {
    out(at, 0x11);
    for (const word of [vector, wiring, 1]) out(at + 1, word);
  }
  return { bus, clock, console, power, board, virtio, memory, out };
}

type Setup = ReturnType<typeof setup>;

/** Starts a virtio device with an available index that no queue can have: it gives up, and says so by its interrupt. */
function breakVirtio({ bus, memory }: Setup, slot: number, queue: number) {
  const registers = [[0x70, 3], [0x24, 1], [0x20, 1], [0x70, 11], [0x30, queue], [0x38, 8]];
  const rings = [[0x80, 0x1000], [0x90, 0x2000], [0xa0, 0x3000], [0x44, 1], [0x70, 15]];
  memory.writeU16(gpa(0x2002), 99);
  for (const [offset = 0, value = 0] of [...registers, ...rings, [0x50, queue]]) {
    bus.write("memory", VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_STRIDE + offset, 4, value);
  }
}

const INTERRUPTS: [name: string, irq: number, cause: (machine: Setup) => void][] = [
  ["the PIT", 0, ({ out, clock }) => {
    for (const [port, value] of [[0x43, 0x34], [0x40, 100], [0x40, 0]] as const) out(port, value);
    clock.advanceTo(100_000);
  }],
  ["the UART", 4, ({ out }) => {
    out(0x3fc, 8);
    out(0x3f9, 2);
  }],
  ["the virtio console", 5, (machine) => breakVirtio(machine, 0, 1)],
  ["the virtio block device", 11, (machine) => breakVirtio(machine, 1, 0)],
  ["the disk", 14, ({ out }) => {
    out(0x1f6, 0xe0);
    out(0x1f7, 0xec);
  }],
];
for (const [name, irq, cause] of INTERRUPTS) {
  Deno.test(`pcBoard() and attachVirtio() put ${name} on line ${irq}`, () => {
    const machine = setup();
    assertEquals(machine.board.cpus[0].interrupts.pending(), false);
    cause(machine);
    assertEquals(machine.board.cpus[0].interrupts.pending(), true);
    assertEquals(machine.board.cpus[0].interrupts.acknowledge(), 0x20 + irq);
  });
}

Deno.test("pcBoard() puts the ports of a PC where they are", () => {
  const { bus, console, power, board, out } = setup();
  out(0x3f8, 0x21);
  out(0x80, 0x55);
  out(0xcf9, 6);
  bus.write("port", 0xf4, 4, 0x12345);
  assertEquals(console.text, "!");
  assertEquals(board.postCode.code, 0x55);
  assertEquals(power.events, ["reset", "off 74565"]);
  assertEquals(bus.read("port", 0x3f6, 1), 0x50);
});

Deno.test("pcBoard() has no disk controller when there is no disk", () => {
  const { bus, board, virtio } = setup({ sectors: 0 });
  assertEquals([board.ata, virtio.block, bus.read("port", 0x1f7, 1)], [undefined, undefined, 0xff]);
});

Deno.test("pcBoard() puts the PIC behind the local APIC when there is one", () => {
  const { board, out } = setup({ lapic: true });
  assertEquals(board.cpus[0].bus.read("memory", LAPIC_BASE + 0x30, 4) & 0xff, 0x14);
  out(0x3fc, 8);
  out(0x3f9, 2);
  assertEquals(board.cpus[0].interrupts, board.cpus[0].lapic);
  assertEquals(board.cpus[0].interrupts.acknowledge(), 0x24);
});

// The devices around guests from files, as their guests use them.
import { assert, assertEquals } from "@std/assert";
import { IOAPIC_BASE, LAPIC_BASE, PM_PORTS } from "../guest/layout.ts";
import { pcBoard } from "./board.ts";
import { Bus } from "./bus.ts";
import type { AccessSize } from "./device.ts";
import { TestClock, TestPower, TestSink } from "./testing.ts";

const MIB = 1 << 20;

class Machine {
  readonly bus = new Bus();
  readonly clock = new TestClock();
  readonly power = new TestPower();
  /** Where A20 was moved. */
  readonly a20: boolean[] = [];
  readonly sink = new TestSink();
  readonly board;

  constructor(memory = 64 * MIB) {
    const { bus, clock, power } = this;
    const rom = Uint8Array.of(1, 2, 3, 4);
    const gate = { set: (open: boolean) => void this.a20.push(open) };
    const legacy = { memory, rom, gate };
    this.board = pcBoard({ bus, clock, power, console: this.sink, disks: [], legacy });
  }
  in(port: number, size: AccessSize = 1): number {
    return this.bus.read("port", port, size);
  }
  out(port: number, value: number, size: AccessSize = 1): void {
    this.bus.write("port", port, size, value);
  }
  cmos(index: number): number {
    this.out(0x70, index);
    return this.in(0x71);
  }
  fwCfg(key: number, length: number): number[] {
    this.out(0x510, key, 2);
    return Array.from({ length }, () => this.in(0x511));
  }
  /** Sets one half of an I/O APIC entry, or reads it. */
  ioapic(register: number, value?: number): number {
    this.bus.write("memory", IOAPIC_BASE, 4, register);
    if (value !== undefined) this.bus.write("memory", IOAPIC_BASE + 0x10, 4, value);
    return this.bus.read("memory", IOAPIC_BASE + 0x10, 4);
  }
  /** Enables the local APIC, and cuts off the PIC behind it. */
  enableLapic(): void {
    this.board.cpus[0].bus.write("memory", LAPIC_BASE + 0xf0, 4, 0x1ff);
    this.board.cpus[0].bus.write("memory", LAPIC_BASE + 0x350, 4, 0x10000);
  }
  taken(): number[] {
    const vectors: number[] = [];
    while (this.board.cpus[0].interrupts.pending()) {
      vectors.push(this.board.cpus[0].interrupts.acknowledge());
      this.board.cpus[0].bus.write("memory", LAPIC_BASE + 0xb0, 4, 0);
      assert(vectors.length < 100);
    }
    return vectors;
  }
}

Deno.test("FwCfg tells who it is, the RAM and the number of CPUs", () => {
  const machine = new Machine(64 * MIB);
  assertEquals(machine.fwCfg(0, 5), [0x51, 0x45, 0x4d, 0x55, 0]);
  assertEquals(machine.fwCfg(1, 4), [1, 0, 0, 0]);
  assertEquals(machine.fwCfg(3, 8), [0, 0, 0, 4, 0, 0, 0, 0]);
  assertEquals(machine.fwCfg(5, 3), [1, 0, 0]);
  assertEquals(machine.fwCfg(0x7777, 2), [0, 0]);
  machine.out(0x510, 0, 2);
  assertEquals(machine.in(0x511, 4), 0x554d4551);
});

Deno.test("Rtc tells virtual time from its fixed day on, in the format that the guest asks for", () => {
  const machine = new Machine();
  const now = () => [0x32, 9, 8, 7, 6, 4, 2, 0].map((register) => machine.cmos(register));
  assertEquals(now(), [0x20, 0x26, 1, 1, 5, 0, 0, 0]);
  machine.clock.jumpTo((((31 * 24 + 13) * 60 + 45) * 60 + 59) * 1e9);
  assertEquals(now(), [0x20, 0x26, 2, 1, 1, 0x13, 0x45, 0x59]);
  machine.cmos(0x0b);
  machine.out(0x71, 4);
  assertEquals(now(), [20, 26, 2, 1, 1, 0x81, 45, 59]);
});

Deno.test("Rtc keeps the memory sizes, and what is written beside them", () => {
  const word = (machine: Machine, at: number) => machine.cmos(at) | machine.cmos(at + 1) << 8;
  for (
    const [memory, extended, high] of [[2 * MIB, 1024, 0], [64 * MIB, 63 * 1024, 768], [
      256 * MIB,
      0xffff,
      3840,
    ]] as const
  ) {
    const machine = new Machine(memory);
    assertEquals([0x15, 0x30, 0x34].map((at) => word(machine, at)), [640, extended, high]);
  }
  const machine = new Machine();
  machine.cmos(0x0f);
  machine.out(0x71, 0xa);
  assertEquals(machine.cmos(0x0f), 0xa);
});

Deno.test("Rtc can be set, a register at a time or all at once, and goes on from there", () => {
  const machine = new Machine();
  const put = (register: number, value: number) => {
    machine.cmos(register);
    machine.out(0x71, value);
  };
  const now = () => [0x32, 9, 8, 7, 4, 2, 0].map((register) => machine.cmos(register));
  machine.clock.jumpTo(2.5e9);
  put(2, 0x17);
  machine.clock.jumpTo(3e9);
  assertEquals(now(), [0x20, 0x26, 1, 1, 0, 0x17, 3]);
  put(0x0b, 0x82);
  const set = [[0x32, 0x19], [9, 0x99], [8, 0x12], [7, 0x31], [4, 0x23], [2, 0x59], [0, 0x58]];
  for (const [register = 0, value = 0] of set) put(register, value);
  machine.clock.jumpTo(60e9);
  assertEquals(now(), set.map(([, value]) => value));
  put(0x0b, 2);
  machine.clock.jumpTo(62e9);
  assertEquals(now(), [0x20, 0, 1, 1, 0, 0, 0]);
});

Deno.test("Rtc interrupts at its rate, at every second, and at its alarm, until register C is read", () => {
  const machine = new Machine();
  const put = (register: number, value: number) => {
    machine.cmos(register);
    machine.out(0x71, value);
  };
  machine.out(0x20, 0x11);
  machine.out(0x21, 0x20);
  machine.out(0x21, 4);
  machine.out(0x21, 1);
  machine.out(0xa0, 0x11);
  machine.out(0xa1, 0x28);
  machine.out(0xa1, 2);
  machine.out(0xa1, 1);
  machine.out(0x21, 0);
  machine.out(0xa1, 0);
  const came = () => {
    const { interrupts } = machine.board.cpus[0];
    const lines: number[] = [];
    while (interrupts.pending()) {
      lines.push(interrupts.acknowledge() - 0x28);
      machine.out(0xa0, 0x20);
      machine.out(0x20, 0x20);
    }
    return lines;
  };
  // 1024 Hz: not before 977 us, and once until it is acknowledged.
  put(0x0b, 0x42);
  machine.clock.advanceTo(976_000);
  assertEquals(came(), []);
  machine.clock.advanceTo(5_000_000);
  assertEquals(came(), [0]);
  assertEquals(machine.cmos(0x0c), 0xc0);
  machine.clock.advanceTo(6_000_000);
  assertEquals([came(), machine.cmos(0x0c)], [[0], 0xc0]);
  // The flags come up whether or not they are wanted.
  put(0x0b, 0x12);
  machine.clock.advanceTo(999_800_000);
  assertEquals([came(), machine.cmos(0x0a), machine.cmos(0x0c)], [[], 0xa6, 0x40]);
  machine.clock.advanceTo(1_000_000_000);
  assertEquals([came(), machine.cmos(0x0a), machine.cmos(0x0c)], [[0], 0x26, 0xd0]);
  // At 01:02:xx, every second; binary is compared as binary.
  put(0x0b, 0x26);
  put(5, 1);
  put(3, 2);
  put(1, 0xff);
  machine.clock.advanceTo(3719.9e9);
  assertEquals([came(), machine.cmos(0x0c) & 0x20], [[], 0]);
  machine.clock.advanceTo(3720e9);
  assertEquals([came(), machine.cmos(0x0c) & 0xa0], [[0], 0xa0]);
  machine.clock.advanceTo(3722e9);
  assertEquals([came(), machine.cmos(0x0c) & 0xa0], [[0], 0xa0]);
  put(1, 99);
  machine.clock.advanceTo(9000e9);
  assertEquals(came(), []);
});

Deno.test("I8042 passes its tests, answers for its keyboard and resets the machine", () => {
  const machine = new Machine();
  const answers = () => {
    const bytes = [];
    while (machine.in(0x64) & 1) bytes.push(machine.in(0x60));
    return bytes;
  };
  const command = (value: number, data?: number) => {
    machine.out(0x64, value);
    if (data !== undefined) machine.out(0x60, data);
    return answers();
  };
  assertEquals(machine.in(0x64), 0x14, "self test passed, lock open");
  assertEquals(command(0xaa), [0x55]);
  assertEquals(command(0xab), [0]);
  assertEquals([command(0x60, 0x47), command(0x20)], [[], [0x47]]);
  assertEquals(command(0xd0), [0xdf]);
  assertEquals(command(0xd1, 0xdd), []);
  machine.out(0x60, 0xff);
  assertEquals(answers(), [0xfa, 0xaa]);
  machine.out(0x60, 0xf2);
  assertEquals(answers(), [0xfa, 0xab, 0x83]);
  assertEquals(machine.power.events, []);
  command(0xff);
  assertEquals(machine.power.events, []);
  command(0xfe);
  command(0xd1, 0xde);
  assertEquals(machine.power.events, ["reset", "reset"]);
});

Deno.test("A20 goes where the keyboard controller or port 0x92 was told last", () => {
  const machine = new Machine();
  machine.out(0x92, 0);
  assertEquals(machine.in(0x92), 0);
  machine.out(0x64, 0xdf);
  machine.out(0x64, 0xdd);
  machine.out(0x64, 0xd1);
  machine.out(0x60, 0xdf);
  machine.out(0x92, 2);
  machine.out(0x64, 0xd1);
  machine.out(0x60, 0xdd);
  assertEquals(machine.a20, [false, true, false, true, true, false]);
  assertEquals(machine.power.events, []);
});

Deno.test("FastControl resets when its bit rises", () => {
  const machine = new Machine();
  assertEquals(machine.in(0x92), 2);
  machine.out(0x92, 2);
  assertEquals(machine.power.events, []);
  machine.out(0x92, 3);
  machine.out(0x92, 3);
  assertEquals(machine.power.events, ["reset"]);
});

Deno.test("PCI configuration space answers, and is empty; 0xcf9 among its ports still resets", () => {
  const machine = new Machine();
  machine.out(0xcf8, 0x8000_0803, 4);
  assertEquals(machine.in(0xcf8, 4), 0x8000_0800);
  assertEquals([machine.in(0xcfc, 4), machine.in(0xcfe, 2)], [0xffffffff, 0xffff]);
  machine.out(0xcfc, 5, 4);
  machine.out(0xcf9, 6);
  assertEquals(machine.power.events, ["reset"]);
  assertEquals(machine.in(0xcf8, 4), 0x8000_0800);
});

Deno.test("PowerManagement has a timer of 3.579545 MHz, and switches off", () => {
  const machine = new Machine();
  machine.clock.jumpTo(1e9);
  assertEquals(machine.in(PM_PORTS.timer, 4), 3_579_545);
  machine.clock.jumpTo(2000e9);
  assertEquals(machine.in(PM_PORTS.timer, 4), (3_579_545 * 2000) % 2 ** 32);
  machine.out(PM_PORTS.control, 1, 2);
  assertEquals(machine.in(PM_PORTS.control, 2), 1);
  assertEquals(machine.power.events, []);
  machine.out(PM_PORTS.control, 0x2000, 2);
  assertEquals(machine.power.events, ["off 0"]);
});

Deno.test("the test device echoes, and its memory keeps what is written", () => {
  const machine = new Machine();
  machine.out(0xe0, 0x12345678, 4);
  assertEquals([machine.in(0xe0, 4), machine.in(0xe1)], [0x12345678, 0x56]);
  machine.out(0xe4, 0x1000, 4);
  machine.bus.write("memory", 0xff00fffc, 4, 0xdeadbeef);
  assertEquals(machine.bus.read("memory", 0xff00fffe, 2), 0xdead);
});

Deno.test("DebugConsole shows what is written to either of its ports", () => {
  const machine = new Machine();
  assertEquals(machine.in(0xe9), 0xe9);
  machine.out(0xe9, 0x68);
  machine.out(0x402, 0x69);
  assertEquals(machine.sink.text, "hi");
});

Deno.test("a ROM ends at 4 GiB and can't be written", () => {
  const machine = new Machine();
  machine.bus.write("memory", 0xfffffffc, 4, 0);
  assertEquals(machine.bus.read("memory", 0xfffffffc, 4), 0x04030201);
});

Deno.test("IoApic tells its version, and starts with every input masked", () => {
  const machine = new Machine();
  assertEquals(machine.ioapic(1), 0x170011);
  for (let n = 0; n < 24; n++) assertEquals(machine.ioapic(0x10 + 2 * n), 0x10000);
  machine.enableLapic();
  machine.out(0x2003, 1);
  assertEquals(machine.taken(), []);
});

Deno.test("IoApic brings an edge once, and a level until it goes away", () => {
  const machine = new Machine();
  machine.enableLapic();
  machine.ioapic(0x10 + 2 * 14, 0x41);
  machine.out(0x200e, 1);
  machine.out(0x200e, 1);
  assertEquals(machine.taken(), [0x41]);
  machine.out(0x200e, 0);
  machine.out(0x200e, 1);
  assertEquals(machine.taken(), [0x41]);

  machine.ioapic(0x10 + 2 * 10, 0x8052);
  machine.out(0x200a, 1);
  assertEquals(machine.ioapic(0x10 + 2 * 10), 0xc052, "remote IRR");
  const { cpus: [{ interrupts }] } = machine.board;
  assertEquals(interrupts.acknowledge(), 0x52);
  assertEquals(interrupts.pending(), false);
  machine.board.cpus[0].bus.write("memory", LAPIC_BASE + 0xb0, 4, 0);
  assertEquals(interrupts.acknowledge(), 0x52, "asks again: the line is still high");
  machine.out(0x200a, 0);
  machine.board.cpus[0].bus.write("memory", LAPIC_BASE + 0xb0, 4, 0);
  assertEquals([interrupts.pending(), machine.ioapic(0x10 + 2 * 10)], [false, 0x8052]);
});

Deno.test("the PIT comes out at input 2 of the I/O APIC", () => {
  const machine = new Machine();
  machine.enableLapic();
  machine.ioapic(0x14, 0x30);
  machine.out(0x43, 0x34);
  machine.out(0x40, 0);
  machine.out(0x40, 0x10);
  machine.clock.advanceTo(10_000_000);
  assertEquals(machine.taken(), [0x30]);
});

// Interrupts between processors: who gets a message, in either mode of the local APIC, and what INIT and start-up do.
import { assertEquals } from "@std/assert";
import { InterruptMessages } from "../interrupt_messages.ts";
import { TestClock } from "../testing.ts";
import { Lapic } from "./lapic.ts";
import { LapicMsrs } from "./lapic_msrs.ts";

const TPR = 0x80, LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310;
const APIC_BASE = 0x1b, SELF_IPI = 0x83f;
const LOGICAL = 0x800, LOWEST = 0x100, NMI = 0x400, INIT = 0x4500, STARTUP = 0x4600;
const SELF = 0x40000, ALL = 0x80000, OTHERS = 0xc0000;
const ENABLED = 0x800n, EXTENDED = 0x400n;

function machine(cpus: number, x2apic = false) {
  const messages = new InterruptMessages();
  const clock = new TestClock();
  const lapics = Array.from({ length: cpus }, (_, id) => new Lapic({ clock, id, messages }));
  const msrs = lapics.map((lapic) => new LapicMsrs(lapic, 40));
  for (const [n, lapic] of lapics.entries()) {
    if (x2apic) msrs[n]?.writeMsr(APIC_BASE, lapic.base | EXTENDED);
    lapic.setRegister(SVR, 0x1ff);
  }
  const set = (cpu: number, offset: number, value: number) => lapics[cpu]?.write(offset, 4, value);
  const send = (destination: number, low: number, cpu = 0) => {
    if (x2apic) {
      return void msrs[cpu]?.writeMsr(0x830, BigInt(destination) << 32n | BigInt(low));
    }
    set(cpu, ICR_HIGH, destination << 24);
    set(cpu, ICR, low);
  };
  /** Who has an interrupt; it is taken and ended. */
  const got = () =>
    lapics.flatMap((lapic, n) => {
      if (!lapic.pending()) return [];
      lapic.acknowledge();
      lapic.endOfInterrupt();
      return [n];
    });
  return { lapics, msrs, set, send, got };
}

/** Four CPUs: destination, lower half of ICR, and who gets it. */
const XAPIC: [what: string, destination: number, low: number, who: number[]][] = [
  ["an id", 2, 0x51, [2]],
  ["an id that nobody has", 9, 0x51, []],
  ["everybody, by id", 0xff, 0x51, [0, 1, 2, 3]],
  ["a bit each in the flat model", 0b1010, LOGICAL | 0x51, [1, 3]],
  ["everybody, by logical id", 0xff, LOGICAL | 0x51, [0, 1, 2, 3]],
  ["oneself", 3, SELF | 0x51, [0]],
  ["all", 3, ALL | 0x51, [0, 1, 2, 3]],
  ["the others", 3, OTHERS | 0x51, [1, 2, 3]],
  ["whoever does least, first of equals", 0xff, LOGICAL | LOWEST | 0x51, [1]],
  ["an illegal vector", 0xff, 0x0f, []],
];

for (const [what, destination, low, who] of XAPIC) {
  Deno.test(`an xAPIC's message reaches ${what}`, () => {
    const { set, send, got } = machine(4);
    for (let n = 0; n < 4; n++) {
      set(n, LDR, 0x1000000 << n);
      set(n, TPR, n === 0 || n === 3 ? 0x30 : 0x20);
    }
    send(destination, low);
    assertEquals(got(), who);
  });
}

Deno.test("an xAPIC in the cluster model is named by its cluster and a bit", () => {
  const { set, send, got } = machine(4);
  for (let n = 0; n < 4; n++) {
    set(n, DFR, 0);
    set(n, LDR, (n < 2 ? 0x10 : 0x20) + (1 << n % 2) << 24);
  }
  send(0x23, LOGICAL | 0x51);
  assertEquals(got(), [2, 3]);
  send(0x11, LOGICAL | 0x51);
  assertEquals(got(), [0]);
});

const X2APIC: typeof XAPIC = [
  ["an id", 2, 0x51, [2]],
  ["not everybody by eight bits", 0xff, 0x51, []],
  ["everybody", 0xffff_ffff, 0x51, [0, 1, 2, 3]],
  ["a bit each in a cluster", 0b1010, LOGICAL | 0x51, [1, 3]],
  ["no other cluster", 0x1_000a, LOGICAL | 0x51, []],
  ["the others", 0, OTHERS | 0x51, [1, 2, 3]],
];

for (const [what, destination, low, who] of X2APIC) {
  Deno.test(`an x2APIC's message reaches ${what}`, () => {
    const { send, got } = machine(4, true);
    send(destination, low);
    assertEquals(got(), who);
  });
}

Deno.test("lowest priority passes over those that software has disabled", () => {
  const { set, send, got } = machine(3);
  set(0, TPR, 0x40);
  set(2, TPR, 0x40);
  set(1, SVR, 0xff);
  send(0xff, LOWEST | 0x51);
  assertEquals(got(), [0]);
});

Deno.test("INIT makes a CPU wait, and the first start-up message after it counts", () => {
  const { lapics: [, ap], send } = machine(2);
  if (!ap) throw new Error("There are two");
  assertEquals([ap.waitsForStartUp, ap.takeSignal()], [true, undefined]);
  send(1, INIT);
  send(1, STARTUP | 0x12);
  send(1, STARTUP | 0x34);
  assertEquals(ap.takeSignal(), { is: "init" });
  assertEquals(ap.takeSignal(), { is: "start-up", vector: 0x12 });
  assertEquals([ap.waitsForStartUp, ap.takeSignal()], [false, undefined]);
  send(1, STARTUP | 0x56);
  assertEquals(ap.takeSignal(), undefined, "nobody waits");
  ap.setRegister(SVR, 0x1ff);
  ap.deliver(0x51);
  send(1, INIT | 0x8000 & ~0x4000);
  assertEquals(ap.takeSignal(), { is: "init" });
  assertEquals([ap.pending(), ap.register(SVR), ap.id], [false, 0xff, 1]);
});

Deno.test("the de-assert of an INIT means nothing, and the bootstrap processor does not wait", () => {
  const { lapics: [bsp, ap], send } = machine(2);
  send(1, 0x8500);
  assertEquals(ap?.takeSignal(), undefined);
  send(0, INIT, 1);
  assertEquals(bsp?.takeSignal(), { is: "init" });
  assertEquals(bsp?.waitsForStartUp, false);
});

Deno.test("an NMI comes whatever is masked or disabled by software", () => {
  const { lapics: [, other], set, send } = machine(2);
  let nmis = 0;
  if (other) other.onNmi = () => nmis++;
  set(1, SVR, 0xff);
  send(1, NMI);
  assertEquals(nmis, 1);
});

/** From, written to APIC_BASE, taken. */
const MODES: [from: bigint, to: bigint, taken: boolean][] = [
  [ENABLED, ENABLED | EXTENDED, true],
  [ENABLED, 0n, true],
  [ENABLED, EXTENDED, false],
  [ENABLED | EXTENDED, ENABLED, false],
  [ENABLED | EXTENDED, 0n, true],
  [ENABLED | EXTENDED, EXTENDED, false],
  [0n, ENABLED, true],
  [0n, ENABLED | EXTENDED, false],
  [ENABLED, ENABLED | 1n, false],
  [ENABLED, ENABLED | 1n << 40n, false],
];

for (const [from, to, taken] of MODES) {
  Deno.test(`APIC_BASE ${taken ? "goes" : "does not go"} from ${from} to ${to}`, () => {
    const { lapics: [lapic], msrs: [msrs] } = machine(1);
    const base = 0xfee00000n;
    if (!(from & ENABLED)) msrs?.writeMsr(APIC_BASE, base);
    if (from & EXTENDED) msrs?.writeMsr(APIC_BASE, base | from);
    assertEquals(msrs?.writeMsr(APIC_BASE, base | to), taken);
    assertEquals(
      lapic?.base ?? 0n,
      taken ? base | to : from & EXTENDED ? base | from : lapic?.base,
    );
  });
}

Deno.test("an APIC that is switched off forgets, has no page, and lets nothing in", () => {
  const { lapics: [lapic], msrs: [msrs] } = machine(1);
  lapic?.setRegister(TPR, 0x30);
  msrs?.writeMsr(APIC_BASE, 0xfee00000n);
  lapic?.deliver(0x51);
  assertEquals([lapic?.page, lapic?.pending()], [undefined, false]);
  msrs?.writeMsr(APIC_BASE, 0xfed00800n);
  assertEquals([lapic?.page, lapic?.taskPriority, lapic?.register(SVR)], [0xfed00000, 0, 0xff]);
});

/** MSR, value: taken in x2APIC mode? */
const WRITES: [msr: number, value: bigint, taken: boolean][] = [
  [0x808, 0xffn, true],
  [0x808, 0x100n, false],
  [0x80b, 0n, true],
  [0x80b, 1n, false],
  [0x802, 0n, false],
  [0x803, 0n, false],
  [0x80d, 0n, false],
  [0x80e, 0n, false],
  [0x80f, 0x1ffn, true],
  [0x80f, 0x1_0000_01ffn, false],
  [0x810, 0n, false],
  [0x828, 0n, true],
  [0x828, 1n, false],
  [0x82f, 0n, false],
  [0x830, 0xffff_ffff_000c_cfffn & ~0x7ffn | 0x51n, true],
  [0x830, 1n << 20n, false],
  [0x831, 0n, false],
  [0x832, 0x7_00ffn, true],
  [0x839, 0n, false],
  [0x83f, 0x51n, true],
  [0x83f, 0x151n, false],
  [0x840, 0n, false],
  [0x8ff, 0n, false],
];

Deno.test("x2APIC registers refuse reserved bits, and to be written where they can't", () => {
  const { msrs: [msrs] } = machine(1, true);
  for (const [msr, value, taken] of WRITES) {
    assertEquals(msrs?.writeMsr(msr, value), taken, `${msr.toString(16)} = ${value.toString(16)}`);
  }
  const { msrs: [xapic] } = machine(1);
  assertEquals([xapic?.writeMsr(0x808, 0n), xapic?.readMsr(0x808)], [false, undefined]);
});

Deno.test("x2APIC registers are read where there is something to read", () => {
  const { msrs } = machine(3, true);
  const readable = Array.from({ length: 0x100 }, (_, n) => 0x800 + n)
    .filter((msr) => msrs[2]?.readMsr(msr) !== undefined);
  const range = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, n) => from + n);
  assertEquals(readable, [
    ...[0x802, 0x803, 0x808, 0x80a, 0x80d, 0x80f],
    ...range(0x810, 0x828),
    ...[0x830, ...range(0x832, 0x839), 0x83e],
  ]);
  assertEquals([msrs[2]?.readMsr(0x802), msrs[2]?.readMsr(0x80d)], [2n, 4n]);
});

Deno.test("the self IPI register interrupts its own CPU, and leaves ICR alone", () => {
  const { msrs, got } = machine(2, true);
  msrs[1]?.writeMsr(0x830, 0x52n | BigInt(SELF));
  got();
  assertEquals(msrs[1]?.writeMsr(SELF_IPI, 0x51n), true);
  assertEquals(got(), [1]);
  assertEquals(msrs[1]?.readMsr(0x830), 0x52n | BigInt(SELF));
});

Deno.test("a level's interrupt shows in TMR", () => {
  const { lapics: [lapic] } = machine(1);
  lapic?.deliver(0x41, true);
  lapic?.deliver(0x42);
  assertEquals(lapic?.read(0x180 + 0x20, 4), 2);
  lapic?.deliver(0x41);
  assertEquals(lapic?.read(0x180 + 0x20, 4), 0);
});

Deno.test("an illegal vector is the sender's error", () => {
  const { lapics, set, send } = machine(2);
  send(1, 0x0f);
  set(0, ESR, 0);
  set(1, ESR, 0);
  assertEquals(lapics.map((lapic) => lapic.read(ESR, 4)), [0x20, 0]);
});

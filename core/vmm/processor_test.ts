// What CPUID says of one CPU among several.
import { assertEquals } from "@std/assert";
import { cpuid } from "../cpu/cpuid.ts";
import { pcBoard } from "../machine/board.ts";
import { Bus } from "../machine/bus.ts";
import { TestClock, TestPower, TestSink } from "../machine/testing.ts";
import { Processor } from "./processor.ts";

function processors(cpus: number, lapic = false): Processor[] {
  const board = pcBoard({
    bus: new Bus(),
    clock: new TestClock(),
    power: new TestPower(),
    console: new TestSink(),
    disks: [],
    cpus,
    lapic,
  });
  return board.cpus.map((own) => new Processor(own, cpus));
}

const of = (processor: Processor | undefined, leaf: number, subleaf = 0) =>
  processor?.cpuid(leaf, subleaf, cpuid(leaf, subleaf)) ?? [];

Deno.test("CPUID tells each CPU its APIC id, and how many there are", () => {
  const third = processors(3)[2];
  const [, ebx = 0, ecx = 0, edx = 0] = of(third, 1);
  assertEquals([ebx >>> 24, ebx >>> 16 & 0xff, ebx >>> 8 & 0xff], [2, 3, 8]);
  assertEquals([ecx >>> 21 & 1, ecx >>> 24 & 1, edx >>> 28 & 1, edx >>> 9 & 1], [1, 1, 1, 1]);
  assertEquals(of(third, 0xb, 0), [0, 1, 0x100, 2]);
  assertEquals(of(third, 0xb, 1), [2, 3, 0x201, 2]);
  assertEquals(of(third, 0xb, 2), [0, 0, 2, 2]);
});

Deno.test("CPUID has no APIC while that is switched off", () => {
  const [only] = processors(1, true);
  only?.localApic?.writeMsr(0x1b, 0xfee00100n);
  const [, ebx = 0, , edx = 0] = of(only, 1);
  assertEquals([edx >>> 9 & 1, edx >>> 28 & 1, ebx >>> 16 & 0xff], [0, 0, 1]);
});

Deno.test("CPUID says nothing new of a CPU that is alone and has no APIC", () => {
  const [only] = processors(1);
  for (const leaf of [0, 1, 0xb]) assertEquals(of(only, leaf), [...cpuid(leaf, 0)]);
});

import { assertEquals } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { ByteMemory } from "../../machine/memory.ts";
import { KVM_MSR } from "./kvm_abi.ts";
import { KvmMsrs } from "./kvm_msrs.ts";
import { PvEoi } from "./pv_eoi.ts";

const SIZE = 0x3000;

function setUp() {
  const memory = new ByteMemory(new Uint8Array(SIZE));
  const apic = { soleInService: true, ended: 0, endOfInterrupt: () => void apic.ended++ };
  const eoi = new PvEoi(memory, apic);
  const msrs = new KvmMsrs(memory, { now: () => 5_000 }, eoi);
  return { memory, apic, eoi, msrs };
}

/** Nanoseconds as a guest works them out: Linux, pvclock_clocksource_read. */
function pvclockRead(memory: ByteMemory, at: number, tsc: bigint): bigint {
  const shift = memory.read(gpa(at + 28), 1)[0] ?? 0;
  const delta = (tsc - memory.readU64(gpa(at + 8))) << BigInt(shift);
  const mul = BigInt(memory.readU32(gpa(at + 24)));
  return memory.readU64(gpa(at + 16)) + ((delta * mul) >> 32n);
}

Deno.test("KvmMsrs.write() fills a clock that tells nanoseconds when SYSTEM_TIME is enabled", () => {
  for (const msr of [KVM_MSR.SYSTEM_TIME, KVM_MSR.SYSTEM_TIME_NEW]) {
    const { memory, msrs } = setUp();
    assertEquals(msrs.write(msr, 0x1041n), true);
    for (const tsc of [5_000n, 5_001n, 123_456_789_012n]) {
      assertEquals(pvclockRead(memory, 0x1040, tsc), tsc);
    }
    assertEquals(memory.readU32(gpa(0x1040)) % 2, 0, "the version is even");
    assertEquals(msrs.read(msr), 0x1041n);
  }
});

Deno.test("KvmMsrs.write() changes the version when it fills a structure again", () => {
  const { memory, msrs } = setUp();
  const versions = [1, 2, 3].map(() => {
    msrs.write(KVM_MSR.SYSTEM_TIME_NEW, 0x1001n);
    return memory.readU32(gpa(0x1000));
  });
  assertEquals(versions, [2, 4, 6]);
});

Deno.test("KvmMsrs.write() refuses what can't be a structure in RAM, and takes the rest", () => {
  const cases: [name: string, msr: number, value: bigint, taken: boolean][] = [
    ["the last place there is", KVM_MSR.SYSTEM_TIME_NEW, BigInt(SIZE - 32) | 1n, true],
    ["across the end of RAM", KVM_MSR.SYSTEM_TIME_NEW, BigInt(SIZE - 28) | 1n, false],
    ["misaligned", KVM_MSR.SYSTEM_TIME_NEW, 0x1003n, false],
    ["beyond any RAM", KVM_MSR.SYSTEM_TIME_NEW, 0xffff_ffff_ffff_f001n, false],
    ["beyond any RAM, but switched off", KVM_MSR.SYSTEM_TIME_NEW, 0xffff_ffff_ffff_f000n, true],
    ["steal time", KVM_MSR.STEAL_TIME, 0x1041n, true],
    ["steal time with reserved bits", KVM_MSR.STEAL_TIME, 0x1021n, false],
    ["wall clock, whose bit 0 is an address bit", KVM_MSR.WALL_CLOCK_NEW, 0x1000n, true],
    ["wall clock, misaligned", KVM_MSR.WALL_CLOCK, 0x1001n, false],
    ["end of interrupt", KVM_MSR.PV_EOI_EN, 0x1005n, true],
  ];
  for (const [name, msr, value, taken] of cases) {
    assertEquals(setUp().msrs.write(msr, value), taken, name);
  }
});

Deno.test("PvEoi ends the interrupt when the guest clears the bit, and takes the offer back when it does not", () => {
  const { memory, apic, eoi, msrs } = setUp();
  const word = gpa(0x1004);
  msrs.write(KVM_MSR.PV_EOI_EN, 0x1005n);
  memory.writeU32(word, 0xf0);

  eoi.toGuest();
  assertEquals(memory.readU32(word), 0xf1, "offered, other bits left alone");
  memory.writeU32(word, 0xf0);
  eoi.fromGuest();
  assertEquals(apic.ended, 1);
  eoi.fromGuest();
  assertEquals(apic.ended, 1, "once only");

  eoi.toGuest();
  eoi.fromGuest();
  assertEquals([memory.readU32(word), apic.ended], [0xf0, 1], "the guest had not got to it");
});

Deno.test("PvEoi.toGuest() offers nothing when another interrupt waits or the guest has not asked", () => {
  const { memory, apic, eoi, msrs } = setUp();
  eoi.toGuest();
  apic.soleInService = false;
  msrs.write(KVM_MSR.PV_EOI_EN, 0x1001n);
  eoi.toGuest();
  assertEquals(memory.readU32(gpa(0x1000)), 0);
  apic.soleInService = true;
  msrs.write(KVM_MSR.PV_EOI_EN, 0x1000n);
  eoi.toGuest();
  assertEquals(memory.readU32(gpa(0x1000)), 0, "switched off again");
});

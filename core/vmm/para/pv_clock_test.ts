import { assertEquals } from "@std/assert";
import type { Gpa } from "../../base/address.ts";
import { ByteMemory } from "../../machine/memory.ts";
import { TIME_INFO, VCPU_INFO } from "./abi.ts";
import { PvClock, timeScale } from "./pv_clock.ts";

/** What a guest computes, by xen.h. */
function scaled(cycles: bigint, { mul, shift }: { mul: number; shift: number }): bigint {
  const shifted = shift < 0 ? cycles >> BigInt(-shift) : cycles << BigInt(shift);
  return shifted * BigInt(mul) >> 32n;
}

for (const hz of [1e9, 2.4e9, 3.999e9, 5e8, 1e7]) {
  Deno.test(`timeScale() turns cycles into nanoseconds when the counter runs at ${hz} Hz`, () => {
    const scale = timeScale(hz);
    assertEquals(scale.mul >= 2 ** 31 && scale.mul < 2 ** 32, true);
    const second = Number(scaled(BigInt(hz), scale));
    assertEquals(Math.abs(second - 1e9) <= 2, true, `${second}`);
  });
}

Deno.test("update() writes an even version that is new each time, when the record is old or elsewhere", () => {
  const memory = new ByteMemory(new Uint8Array(256));
  const clock = new PvClock(memory);
  const record = (place: number) => {
    const at = (offset: number) => place + VCPU_INFO.time + offset as Gpa;
    return [
      memory.readU32(at(TIME_INFO.version)),
      memory.readU64(at(TIME_INFO.system_time)),
      memory.readU64(at(TIME_INFO.tsc_timestamp)),
    ];
  };
  clock.update(0, 5);
  assertEquals(record(0), [2, 5n, 5n]);
  clock.update(0, 1_000_000_004);
  assertEquals(record(0), [2, 5n, 5n]);
  clock.update(0, 1_000_000_005);
  assertEquals(record(0), [4, 1_000_000_005n, 1_000_000_005n]);
  clock.update(64, 1_000_000_006);
  assertEquals(record(64), [2, 1_000_000_006n, 1_000_000_006n]);
});

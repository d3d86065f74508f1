import { assertEquals } from "@std/assert";
import type { Gpa } from "../../base/address.ts";
import { ByteMemory } from "../../machine/memory.ts";
import { TIME_INFO, VCPU_INFO } from "./abi.ts";
import { timeScale, writeTime } from "./pv_clock.ts";

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

Deno.test("writeTime() leaves an even version that is new each time", () => {
  const memory = new ByteMemory(new Uint8Array(256));
  const at = (offset: number) => VCPU_INFO.time + offset as Gpa;
  for (const [times, now] of [[1, 5], [2, 12345678901]] as const) {
    writeTime(memory, 0, now);
    assertEquals(memory.readU32(at(TIME_INFO.version)), 2 * times);
    assertEquals(memory.readU64(at(TIME_INFO.system_time)), BigInt(now));
    assertEquals(memory.readU64(at(TIME_INFO.tsc_timestamp)), BigInt(now));
  }
});

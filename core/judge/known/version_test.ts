import { assertEquals } from "@std/assert";
import { isInRange, VERSION_RANGE } from "./version.ts";

const ROWS: readonly [version: string | undefined, range: string, isIn: boolean][] = [
  [undefined, "*", true],
  [undefined, "<8", false],
  ["unknown", "<8", false],
  ["7.2.13", "<8", true],
  ["8", "<8", false],
  ["8.0.1", "<8", false],
  ["7.2.13", ">=7.2 <9", true],
  ["9.0", ">=7.2 <9", false],
  ["7.1", ">=7.2 <9", false],
  ["7.2.13", "7.2", true],
  ["7.2.13", "=7.2.12", false],
  ["7.2.13", "<=7.2", true],
  ["7.2.13", ">7.2", false],
  ["7.10", ">7.9", true],
  ["7", ">=7.0.0", true],
  ["7", ">=7.0.1", false],
  ["6.12.9-cloud-amd64", ">=6.12 <6.13", true],
  ["QEMU emulator version 7.2.13 (Debian 1:7.2+dfsg-7)", "7.2.13", true],
];

for (const [version, range, isIn] of ROWS) {
  Deno.test(`isInRange() finds ${version} ${isIn ? "in" : "out of"} ${range}`, () => {
    assertEquals(VERSION_RANGE.test(range), true);
    assertEquals(isInRange(version, range), isIn);
  });
}

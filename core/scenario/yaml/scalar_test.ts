import { assertEquals, assertMatch } from "@std/assert";
import type { Scalar } from "./node.ts";
import { booleanHint, numberHint, resolvePlain } from "./scalar.ts";

Deno.test("`resolvePlain()` follows the core schema of YAML 1.2", () => {
  const cases: readonly [string, Scalar][] = [
    ["", null],
    ["~", null],
    ["null", null],
    ["true", true],
    ["FALSE", false],
    ["0", 0n],
    ["-5", -5n],
    ["+5", 5n],
    ["0x3F8", 0x3f8n],
    ["0o17", 15n],
    ["0xffffffffffffffff", 2n ** 64n - 1n],
    ["18446744073709551615", 2n ** 64n - 1n],
    ["-9223372036854775808", -(2n ** 63n)],
    ["0.05", 0.05],
    ["1e3", 1000],
    [".5", 0.5],
    ["yes", "yes"],
    ["off", "off"],
    ["0b11", "0b11"],
    ["1_000", "1_000"],
    ["2026-01-01", "2026-01-01"],
    ["-0x1", "-0x1"],
    [".inf", ".inf"],
    ["hlt", "hlt"],
  ];
  for (const [source, value] of cases) assertEquals(resolvePlain(source), { value }, source);
});

Deno.test("`resolvePlain()` warns when a number is not what it looks like", () => {
  assertMatch(resolvePlain("010").trap?.suggestion ?? "", /Write 10, or 0o10 for an octal number/);
  assertMatch(resolvePlain("-0777").trap?.suggestion ?? "", /Write -777, or 0o777/);
  assertMatch(resolvePlain("00").trap?.suggestion ?? "", /Write 0, or quote it/);
  assertMatch(resolvePlain("089").trap?.suggestion ?? "", /Write 89, or quote it/);
});

Deno.test("`resolvePlain()` refuses numbers beyond 64 bits, however long", () => {
  for (const source of ["0x10000000000000000", "-9223372036854775809", "9".repeat(100_000)]) {
    assertMatch(resolvePlain(source).trap?.message ?? "", /does not fit 64 bits/);
  }
});

Deno.test("`numberHint()` knows how people write numbers elsewhere", () => {
  assertMatch(numberHint("10h") ?? "", /0x10/);
  assertMatch(numberHint("0FFh") ?? "", /0x0ff/);
  assertMatch(numberHint("0b1010") ?? "", /0xa/);
  assertMatch(numberHint("-0x10") ?? "", /-16/);
  assertMatch(numberHint("1_000") ?? "", /1000/);
  assertMatch(numberHint("0XFF") ?? "", /0xff/);
  assertMatch(numberHint("2026-01-01") ?? "", /date/);
  assertEquals(numberHint("2MB"), "Write 2 MiB");
  assertEquals(numberHint("64k"), "Write 64 KiB");
  assertEquals(numberHint("many"), undefined);
});

Deno.test("`booleanHint()` knows the words of YAML 1.1", () => {
  for (const word of ["yes", "Yes", "on", "y"]) assertMatch(booleanHint(word) ?? "", /write true/);
  for (const word of ["no", "OFF", "n"]) assertMatch(booleanHint(word) ?? "", /write false/);
  assertEquals(booleanHint("maybe"), undefined);
});

import { assertEquals } from "@std/assert";
import { cpuid } from "../../cpu/cpuid.ts";
import { xenCpuid } from "./xen_cpuid.ts";

Deno.test("xenCpuid() keeps contexts and 5-level paging from its guests, and nothing else of leaf 7", () => {
  const [, , features] = xenCpuid(cpuid, 1, 0);
  assertEquals([features >>> 31, features >>> 17 & 1], [1, 0]);
  const [a, b, c, d] = xenCpuid(cpuid, 7, 0);
  const [bareA, bareB, bareC, bareD] = cpuid(7, 0);
  assertEquals([a, bareB ^ b, bareC ^ c, d], [bareA, 1 << 10, 1 << 16, bareD]);
  assertEquals(xenCpuid(cpuid, 7, 1), cpuid(7, 1));
});

import { assertEquals } from "@std/assert";
import { costTable } from "./costs.ts";

Deno.test("costTable() has a row for each kind, dearest first, and parts that come to the total", () => {
  const counts = {
    exits: { total: 23, kinds: { io: 21, "shadow-fill": 5 } },
    inlined: { cli: 3, "indirect-branch": 4 },
  };
  const kinds = { io: 3852, "shadow-fill": 14_170, "inline/indirect-branch": 80 };
  const cycles = { profile: "kvm-2017", guest: 99, vmm: 18_102, kinds };
  assertEquals(costTable(counts, cycles).map((line) => line.trim().split(/\s{2,}/)), [
    ["cost by kvm-2017", "count", "cycles", "each"],
    ["shadow-fill", "5", "14 170", "2 834"],
    ["io", "21", "3 852", "183"],
    ["inline/indirect-branch", "4", "80", "20"],
    ["inline/cli", "3", "0", "0"],
    ["the guest itself", "99"],
    ["total", "18 201"],
  ]);
  for (const line of costTable(counts, cycles)) assertEquals([...line].length <= 80, true);
});

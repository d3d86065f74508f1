import { assertEquals } from "@std/assert";
import type { CostProfile } from "./cost_profile.ts";
import { VirtualTime } from "./virtual_time.ts";

const figure = (value: number) => ({ value, source: "made up" });
const PROFILE: CostProfile = {
  name: "test",
  layers: [{
    name: "test",
    machine: "",
    instruction: figure(2.5),
    exits: { "vm-exit": figure(100), "vm-exit/io": figure(1000) },
    inlined: { popf: figure(7) },
    native: { "port-io": figure(30) },
  }],
};

function timed() {
  const cpu = { retired: 0 };
  return { cpu, time: new VirtualTime(PROFILE, () => cpu.retired) };
}

Deno.test("now() goes forward with instructions, exits, native and inlined operations", () => {
  const { cpu, time } = timed();
  cpu.retired = 3;
  assertEquals(time.now(), 7);
  time.exit("vm-exit", "io");
  time.exit("vm-exit", "cpuid");
  assertEquals(time.now(), 1107);
  time.native("port-io");
  time.native("nothing known");
  assertEquals(time.now(), 1137);
  time.inlined({ popf: 2, pushf: 9 });
  time.inlined({ popf: 3, pushf: 9 });
  assertEquals(time.now(), 1158);
});

Deno.test("idleUntil() jumps to the deadline, and never back", () => {
  const { cpu, time } = timed();
  cpu.retired = 3;
  time.idleUntil(5000);
  assertEquals(time.now(), 5000);
  time.idleUntil(10);
  assertEquals(time.now(), 5000);
});

for (const [deadline, instructions] of [[5, 2], [6, 3], [0, 1], [2, 1], [100, 40]] as const) {
  Deno.test(`instructionsUntil() grants ${instructions} when ${deadline} ns are left`, () => {
    assertEquals(timed().time.instructionsUntil(deadline), instructions);
  });
}

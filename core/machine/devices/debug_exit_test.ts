import { assertEquals } from "@std/assert";
import { TestPower } from "../testing.ts";
import { DebugExit } from "./debug_exit.ts";
import { PostCode } from "./post_code.ts";

Deno.test("DebugExit ends the run with the value written, at any size", () => {
  const power = new TestPower();
  const device = new DebugExit(power);
  device.write(0, 1, 0x10);
  device.write(0, 2, 0x1234);
  device.write(0, 4, 0xdeadbeef);
  assertEquals(power.events, ["off 16", "off 4660", "off 3735928559"]);
  assertEquals(device.read(0, 4), 0);
});

Deno.test("PostCode shows the last code", () => {
  const device = new PostCode();
  device.write(0, 2, 0x55aa);
  assertEquals([device.code, device.read(0, 1), device.read(0, 2)], [0xaa, 0xaa, 0xffaa]);
});

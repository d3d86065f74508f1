import { assertEquals } from "@std/assert";
import { TestPower } from "../testing.ts";
import { ResetControl } from "./reset_control.ts";

Deno.test("ResetControl resets once when bit 2 rises", () => {
  const power = new TestPower();
  const device = new ResetControl(power);
  for (const value of [0x02, 0x06, 0x06, 0x00, 0x04]) device.write(0, 1, value);
  assertEquals(power.events, ["reset", "reset"]);
  assertEquals(device.read(0, 1), 4);
});

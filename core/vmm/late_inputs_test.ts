import { assertEquals } from "@std/assert";
import type { InterruptInputs } from "../machine/controllers.ts";
import { LateInputs } from "./late_inputs.ts";

Deno.test("LateInputs tells each change of a level once, and what was raised before it was bound", () => {
  const told: string[] = [];
  const inputs: InterruptInputs = {
    line: (input, use) => ({ set: (level) => void told.push(`${input} ${use ?? ""} ${level}`) }),
  };
  const late = new LateInputs();
  const [timer, disk] = [late.line(0), late.line(11, "acknowledged")];
  timer.set(true);
  timer.set(false);
  disk.set(true);
  late.bind(inputs);
  disk.set(true);
  disk.set(false);
  timer.set(true);
  late.line(4).set(true);
  assertEquals(told, [
    "11 acknowledged true",
    "11 acknowledged false",
    "0  true",
    "4  true",
  ]);
});

import { assert, assertEquals } from "@std/assert";
import reference from "../../../scenarios/README.md" with { type: "text" };
import { PV_NAMES, PV_OPERATIONS } from "./operations.ts";

Deno.test("scenarios/README.md names every pv-op, with the registers that it takes", () => {
  const rows = reference.split("\n").filter((line) => line.startsWith("| `"));
  for (const name of PV_NAMES) {
    const row = rows.findLast((line) => line.split("|")[1]?.includes(`\`${name}\``));
    assert(row, name);
    const taken = (row.split("|")[2] ?? "").split(", ").map((part) => part.trim().split(" ")[0]);
    const registers = Object.keys(PV_OPERATIONS[name].takes);
    assertEquals(taken.filter((word) => word !== ""), registers, name);
  }
});

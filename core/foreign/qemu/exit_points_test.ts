import { assertEquals } from "@std/assert";
import { program } from "./testing.ts";
import { contains, exitPoints } from "./exit_points.ts";

Deno.test("exitPoints() are the OUTs to the debug exit port, also inside of pv-ops, and nothing that looks alike", () => {
  const image = program(
    "long64",
    `start:
      mov   eax, 0xf4e6
      out   0xf4, al
      out   0x80, al
      pv    shutdown
      db    0xe6, 0xf4, 0
      out   0xf4, eax`,
  );
  const start = image.start;
  // MOV takes five bytes, `mov eax, edi` of the pv-op two.
  assertEquals(
    exitPoints(image, "translator").map((point) => Number(point) - start),
    [5, 11, 16],
  );
});

Deno.test("exitPoints() are OUTs by DX soon after it was loaded with the port", () => {
  const image = program(
    "long64",
    `start:
      mov   dx, 0xf4
      mov   al, 1
      out   dx, al
      out   dx, al
      mov   edx, 0xf4
      out   dx, ax
      mov   dx, 0xf5
      out   dx, al`,
  );
  const points = exitPoints(image, "translator").map((point) => Number(point) - image.start);
  assertEquals(points, [6, 13, 14]);
  assertEquals(exitPoints(image, "registers"), []);
});

Deno.test("exitPoints() by debug registers: four at most, none for a guest that has them itself", () => {
  const five = "out 0xf4, al\n".repeat(5);
  assertEquals(exitPoints(program("long64", `start: ${five}`), "registers").length, 4);
  assertEquals(exitPoints(program("long64", `start: mov dr0, rax\n${five}`), "registers"), []);
});

Deno.test("contains() finds bytes wherever they are loaded", () => {
  const image = program("real16", "start: nop\nnop\nvmcall");
  assertEquals(contains(image, [0x0f, 0x01, 0xc1]), true);
  assertEquals(contains(image, [0x0f, 0x01, 0xd9]), false);
});

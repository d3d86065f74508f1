import { assertEquals } from "@std/assert";
import { interleave } from "./sampling.ts";

Deno.test("interleave() takes turns, and throws the warm-up away", async () => {
  const order: string[] = [];
  let calls = 0;
  const probe = (name: string) => ({
    name,
    sample: () => {
      order.push(name);
      return calls++;
    },
  });
  const samples = await interleave([probe("a"), probe("b")], 2, 1);
  assertEquals(order.join(""), "ababab");
  assertEquals([...samples], [["a", [2, 4]], ["b", [3, 5]]]);
});

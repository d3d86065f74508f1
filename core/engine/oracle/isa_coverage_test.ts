// CPUID tells the truth: whatever it announces is executed, whatever it does not announce is #UD, over all that iced lists.
import { assertEquals, assertGreater } from "@std/assert";
import { coverageOf, everyCode } from "./isa_coverage.ts";
import { defectsOf } from "./isa_report.ts";
import { tell } from "./options.ts";

Deno.test("every instruction that CPUID announces is executed, and every other one is #UD", async (test) => {
  const coverage = coverageOf(everyCode());
  assertEquals(defectsOf(coverage), []);
  const count = (standing: string) => coverage.filter((c) => c.standing === standing).length;
  await tell(test, `${count("supported")} codes supported, ${count("absent")} absent and #UD`);
  assertGreater(count("supported"), 1500);
  assertGreater(count("absent"), 3000);
});

// Every code that is supported has its test: an oracle's, or one that the list names, which is there.
import { assertEquals } from "@std/assert";
import { coverageOf, everyCode } from "./isa_coverage.ts";
import { nameOf } from "./encodings.ts";
import { tell } from "./options.ts";
import { handCodes, TESTED_BY_HAND } from "./tested_by_hand.ts";
import { testedCodes } from "./tested_codes.ts";

Deno.test("the tests by hand are where the list says", () => {
  for (const { file, test } of TESTED_BY_HAND) {
    const text = Deno.readTextFileSync(new URL(`../../${file}`, import.meta.url));
    assertEquals(text.includes(`Deno.test("${test}`), true, `${file}: ${test}`);
  }
});

Deno.test("every supported instruction is tried by an oracle, or by hand where none can", async (test) => {
  const tested = testedCodes();
  const byOracle = new Set([...tested.values()].flatMap((codes) => [...codes]));
  const byHand = handCodes();
  const supported = coverageOf(everyCode()).filter(({ standing }) => standing === "supported");
  const untested = supported.filter(({ code }) => !byOracle.has(code) && !byHand.has(code));
  for (const [name, codes] of tested) await tell(test, `${name}: ${codes.size} codes`);
  await tell(test, `by hand: ${byHand.size} codes`);
  assertEquals(untested.map(({ name }) => name), []);
  assertEquals([...byHand].filter((code) => byOracle.has(code)).map(nameOf), [], "needless");
});

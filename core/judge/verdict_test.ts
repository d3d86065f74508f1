import { assertEquals } from "@std/assert";
import { exitCodeOf, summarize, type Verdict, VERDICTS, worst } from "./verdict.ts";

Deno.test("worst() is the last in the order of VERDICTS, wherever it stands", () => {
  for (const [i, bad] of VERDICTS.entries()) {
    for (const good of VERDICTS.slice(0, i + 1)) {
      assertEquals(worst([good, bad, good]), bad);
    }
  }
  assertEquals(worst([]), "passed");
});

Deno.test("summarize() counts in the order from best to worst and leaves out what nobody got", () => {
  const summary = summarize(["error", "passed", "failed", "passed"]);
  assertEquals(JSON.stringify(summary), '{"passed":2,"failed":1,"error":1}');
});

const CODES: readonly (readonly [readonly Verdict[], number, number])[] = [
  [["passed", "skipped", "unobserved", "known-deviation"], 0, 0],
  [["passed", "failed"], 0, 1],
  [["diverged"], 0, 1],
  [["flaky"], 0, 1],
  [["failed", "error"], 0, 2],
  [["failed", "error"], 1, 3],
];

for (const [verdicts, harnessErrors, code] of CODES) {
  Deno.test(`exitCodeOf() is ${code} when there are ${verdicts} and ${harnessErrors} errors of the harness`, () => {
    assertEquals(exitCodeOf(summarize(verdicts), harnessErrors), code);
  });
}

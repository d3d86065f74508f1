import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeGroupResult, makeResult } from "./testing.ts";
import { ProgressReporter } from "./progress.ts";

Deno.test("ProgressReporter shows nothing for a moment, then how far it is, and clears its line", () => {
  let time = 0;
  let text = "";
  const reporter = new ProgressReporter((part) => text += part, () => time);
  reporter.report({ type: "started", groups: 1, cases: 3 });
  reporter.report({ type: "case", id: "a@native" });
  assertEquals(text, "");
  time = 1000;
  reporter.report({ type: "case", id: "a@para" });
  assertStringIncludes(text, " 2/3  a@para");
  text = "";
  reporter.report({ type: "group", result: makeGroupResult("a", [makeResult("a", "native")]) });
  assertEquals(text, "\r\x1b[2K");
  text = "";
  reporter.report({ type: "group", result: makeGroupResult("b", []) });
  assertEquals(text, "");
});

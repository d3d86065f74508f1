import { assertEquals } from "@std/assert";
import { join } from "node:path";
import type { SuiteEvent } from "../report/reporter.ts";
import { runSuite } from "./suite.ts";
import { BROKEN, smallScenario, withFiles } from "./testing.ts";

const FILES = {
  "scenarios/a.yaml": BROKEN,
  "scenarios/b.yaml": smallScenario(),
  "scenarios/c.yaml": BROKEN,
  "scenarios/d.yaml": smallScenario(3),
  "scenarios/e.yaml": smallScenario(),
  "scenarios/f.yaml": BROKEN,
};

/** The groups in the order in which they were reported, with their verdicts. */
function groupsOf(events: readonly SuiteEvent[]): string[] {
  return events.flatMap((e) => e.type === "group" ? [`${e.result.id} ${e.result.verdict}`] : []);
}

for (const jobs of [1, 2, 3]) {
  Deno.test(`runSuite() reports groups in the order of the suite when there are ${jobs} jobs`, async () => {
    await withFiles(FILES, async (folder) => {
      const events: SuiteEvent[] = [];
      const paths = [join(folder, "scenarios")];
      const outcome = await runSuite({ paths, jobs, backends: ["native"] }, {
        report: (event) => events.push(event),
      });
      assertEquals(groupsOf(events), [
        "a error",
        "b passed",
        "c error",
        "d failed",
        "e passed",
        "f error",
      ]);
      assertEquals(events[0], { type: "started", groups: 6, cases: 3 });
      assertEquals(events.at(-1)?.type, "finished");
      assertEquals(events.filter((e) => e.type === "case").length, 3);
      assertEquals(outcome.summary, { passed: 2, failed: 1, error: 3 });
      assertEquals(outcome.harnessErrors, 0);
    });
  });

  Deno.test(`runSuite() stops at the first group that fails when told to, with ${jobs} jobs`, async () => {
    await withFiles(FILES, async (folder) => {
      const events: SuiteEvent[] = [];
      const paths = ["b", "d", "e"].map((name) => join(folder, `scenarios/${name}.yaml`));
      await runSuite({ paths, jobs, backends: ["native"], failFast: true }, {
        report: (event) => events.push(event),
      });
      assertEquals(groupsOf(events), ["b passed", "d failed"]);
    });
  });
}

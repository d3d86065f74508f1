import { assertEquals } from "@std/assert";
import { join } from "node:path";
import type { SuiteEvent, SuiteOutcome } from "../report/reporter.ts";
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

/** Of the outcome, what is the same on every run: times are not, nor what a guest by the host's clock comes to. */
function lasting({ groups, summary }: SuiteOutcome) {
  const cases = groups.flatMap((g) => g.cases).map(({ id, engine, verdict, reason, figures }) => {
    if (engine !== "embedded") return { id, verdict, reason };
    return { id, verdict, reason, figures: figures && { ...figures, wallNs: 0 } };
  });
  return {
    cases,
    groups: groups.map(({ id, verdict, fault }) => ({ id, verdict, fault })),
    summary,
  };
}

Deno.test("runSuite() comes to the same with engines side by side as with one after the other", async () => {
  const many = Object.fromEntries(
    Array.from({ length: 20 }, (_, n) => [`scenarios/m${n + 10}.yaml`, smallScenario()]),
  );
  await withFiles({ ...FILES, ...many }, async (folder) => {
    const options = {
      paths: [join(folder, "scenarios")],
      engines: ["embedded", "kvm"],
      backends: ["native", "full-hw", "hybrid"],
    } as const;
    const groups: string[] = [];
    const outcome = await runSuite({ ...options, jobs: 2 }, {
      report: (event) => event.type === "group" && groups.push(event.result.id),
    });
    const sorted = Object.keys({ ...FILES, ...many }).map((f) => f.slice(10, -5)).toSorted();
    assertEquals(groups, sorted);
    assertEquals(lasting(outcome), lasting(await runSuite({ ...options, jobs: 1 })));
    const { groups: few } = await runSuite({ ...options, jobs: 2, failFast: true });
    assertEquals(few.map((g) => g.id), ["a"]);
  });
});

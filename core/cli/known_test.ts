import { assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "node:path";
import { BACKENDS, DEFAULT_ENGINE, subjectName } from "../base/backend.ts";
import { entriesFor } from "../judge/known/apply.ts";
import { matchesAny } from "../judge/known/wildcard.ts";
import { loadLedger, today } from "./known.ts";
import { prepare } from "./prepare.ts";
import { PROJECT } from "./project.ts";
import { smallScenario, trivisor, withFiles } from "./testing.ts";

const entry = (cases: string, about: string, until = "2999-01-01") =>
  `deviations:
  - subject: full-hw@embedded
    cases: ${cases}
    about: ${about}
    reason: It is made to.
    manual: None.
    link: https://example.org/1
    until: ${until}
`;

Deno.test("every entry of the ledger that ships names cases that there are", async () => {
  const { deviations } = loadLedger();
  const prepared = await prepare({ paths: [join(PROJECT, "scenarios")] });
  const groups = prepared.flatMap((p) => "group" in p ? [p.group] : []);
  const names = groups.flatMap((g) => [g.scenario, g.id]);
  for (const { cases, at } of deviations) {
    for (const pattern of cases) {
      const wanted = pattern.replace(/@[^\]]*$/, "");
      assertEquals(names.some((n) => matchesAny([wanted], n)), true, `${at}: ${pattern}`);
    }
  }
});

Deno.test("the ledger that ships has nothing on the embedded engine, whose runs never read it", () => {
  const embedded = BACKENDS.map((backend) => subjectName({ backend, engine: DEFAULT_ENGINE }));
  const { deviations } = loadLedger();
  const found = deviations.filter(({ subjects }) =>
    embedded.some((name) => matchesAny(subjects, name))
  );
  assertEquals(found.map(({ at }) => at), []);
});

Deno.test("today() is a day that entries can be compared with", () => {
  assertMatch(today(), /^\d{4}-\d\d-\d\d$/);
});

Deno.test("loadLedger() reads every file of a folder, and complains of all that is wrong", async () => {
  const files = {
    "good/a.yaml": entry("a", "end"),
    "good/b.yaml": entry("b", "end"),
    "bad/a.yaml": "deviations: 5",
    "bad/b.yaml": entry("b", "ends"),
  };
  await withFiles(files, (folder) => {
    const { deviations } = loadLedger(join(folder, "good"), "2026-01-01");
    assertEquals(deviations.map((d) => d.cases), [["a"], ["b"]]);
    const ran = { id: "b@full-hw+embedded", scenario: "b", backend: "full-hw" } as const;
    const found = entriesFor({ ...ran, engine: "embedded" }, { deviations, today: "" });
    assertEquals(found.length, 1);
    const { message } = assertThrows(() => loadLedger(join(folder, "bad")), Error);
    assertStringIncludes(message, "a.yaml:1:13: error: Expected a list");
    assertStringIncludes(message, "b.yaml:4:12: error: Expected what comes out otherwise");
    assertThrows(() => loadLedger(join(folder, "nowhere")), Error, "There is no file or folder");
    return Promise.resolve();
  });
});

interface Row {
  readonly when: string;
  readonly known: string;
  readonly code: number;
  readonly stdout: readonly string[];
}

/** A scenario that fails on every back end. */
const FAILS = smallScenario(3);
const ROWS: readonly Row[] = [
  {
    when: "it is excused",
    known: entry("wrong", "end"),
    code: 0,
    stdout: ["full-hw deviates as known", "known deviation on full-hw: end,", "It is made to."],
  },
  {
    when: "it is excused no longer",
    known: entry("wrong", "end", "2020-01-01"),
    code: 1,
    stdout: ["full-hw failed", "excused no longer, since 2020-01-01, on full-hw: end,"],
  },
  {
    when: "it is gone",
    known: entry("[wrong, right]", "end"),
    code: 1,
    stdout: ["full-hw failed", "the deviation is gone on full-hw: end,", "known.yaml:2:5"],
  },
];

for (const { when, known, code, stdout } of ROWS) {
  for (const jobs of ["1", "2"]) {
    Deno.test(`trivisor run --known tells of a deviation when ${when}, with ${jobs} jobs`, async () => {
      const files = {
        "scenarios/wrong.yaml": FAILS,
        "scenarios/right.yaml": smallScenario(),
        "known/known.yaml": known,
      };
      await withFiles(files, async (folder) => {
        const args = ["run", "-b", "native,full-hw", "--known", "known", "-j", jobs];
        // The others' failure is theirs: only that of full-hw is looked at.
        const only = when === "it is gone" ? [] : ["--grep", "wrong@full-hw"];
        const finished = await trivisor([...args, ...only], folder);
        for (const text of stdout) assertStringIncludes(finished.stdout, text);
        assertEquals(finished.code, code, finished.stderr);
      });
    });
  }
}

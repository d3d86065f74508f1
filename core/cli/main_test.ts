import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileURLToPath } from "node:url";
import { BROKEN, type Finished, smallScenario, trivisor, withFiles } from "./testing.ts";

const SUITE = {
  "scenarios/a/good.yaml": smallScenario(),
  "scenarios/a/other.yaml": smallScenario(0, "[other]"),
};

interface Row {
  readonly when: string;
  readonly args: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly code: number;
  readonly stdout?: readonly string[];
  readonly stderr?: readonly string[];
}

/** Files of trivisor's own. */
const GUESTS = fileURLToPath(new URL("../../fixtures/guests/", import.meta.url));

const ROWS: readonly Row[] = [
  {
    when: "a kernel is booted",
    args: [...["boot", `${GUESTS}multiboot.elf`, "--command-line", "a b"], "-b", "native,full-hw"],
    code: 0,
    stdout: ["multiboot.elf a b", "magic 0x2badb002"],
    stderr: ["native: shutdown 0", "full-hw: shutdown 0"],
  },
  {
    when: "a file that is none is booted",
    args: ["boot", "nothing.elf"],
    code: 2,
    stderr: ["There is no file nothing.elf"],
  },
  {
    when: "what is booted faults",
    args: ["boot", "ud2.bin", "--format", "flat"],
    files: { "ud2.bin": "\x0f\x0b" },
    code: 1,
    stderr: ["native: triple fault"],
  },
  {
    when: "all pass",
    args: ["run"],
    code: 0,
    stdout: [" ✓ a/good", "5 back ends agree", "10 passed"],
  },
  {
    when: "one back end is asked for",
    args: ["run", "scenarios/a/good.yaml", "-b", "para"],
    code: 0,
    stdout: ["para passed", "1 case ·"],
  },
  {
    when: "an expectation is broken",
    args: ["run"],
    files: { "scenarios/x.yaml": smallScenario(7) },
    code: 1,
    stdout: ["✗ x", "got: shutdown 0"],
  },
  {
    when: "a scenario has errors, and the others run",
    args: ["run"],
    files: { ...SUITE, "scenarios/b.yaml": BROKEN },
    code: 2,
    stdout: [
      "✓ a/good",
      "b.yaml:3:10: error: Unknown entry",
      'Did you mean "long64"?',
      "b.yaml:6:15: error",
    ],
  },
  {
    when: "nothing is selected",
    args: ["run", "-t", "none"],
    code: 2,
    stderr: ["Nothing was selected by --tag none"],
  },
  {
    when: "nothing is selected, and that is allowed",
    args: ["run", "-t", "none", "--allow-empty"],
    code: 0,
  },
  {
    when: "everything selected is skipped",
    args: ["run", "--engine", "kvm"],
    code: 2,
    stderr: ["Nothing ran: everything selected was skipped", "KVM needs Deno's --allow-ffi"],
  },
  {
    when: "there is no such folder",
    args: ["run", "nowhere"],
    code: 2,
    stderr: ['There is no file or folder "nowhere"'],
  },
  {
    when: "a file is no scenario",
    args: ["run", "x.txt"],
    files: { "x.txt": "" },
    code: 2,
    stderr: ["is not a scenario"],
  },
  {
    when: "a back end is misspelt",
    args: ["run", "-b", "hybird"],
    code: 2,
    stderr: ['Did you mean "hybrid"?'],
  },
  { when: "a verb is misspelt", args: ["rnu"], code: 2, stderr: ["Did you mean run?"] },
  {
    when: "a reporter is misspelt",
    args: ["run", "-r", "jsn"],
    code: 2,
    stderr: ['Did you mean "json"?'],
  },
  {
    when: "a profile is misspelt",
    args: ["run", "--profile", "kvm-2071"],
    code: 2,
    stderr: ['Did you mean "kvm-2017"?'],
  },
  {
    when: "a number is none",
    args: ["run", "-j", "many"],
    code: 2,
    stderr: ['--jobs: "many" is not a whole number'],
  },
  { when: "a shard is none", args: ["run", "--shard", "3/2"], code: 2, stderr: ["write 2/5"] },
  {
    when: "help is asked for",
    args: ["--help"],
    code: 0,
    stdout: ["Start with:", "trivisor doctor"],
  },
  {
    when: "a verb's help is asked for",
    args: ["run", "--help"],
    code: 0,
    stdout: ["Exit codes:", "--shard 2/5"],
  },
  {
    when: "writing is not allowed",
    args: ["run", "-o", "out.txt"],
    code: 2,
    stderr: ["Needs permission for write access", "--allow-write"],
  },
  {
    when: "a new scenario may not be written",
    args: ["new", "b/mine"],
    code: 2,
    stderr: ["Needs permission to write"],
  },
  {
    when: "a new scenario's name is none",
    args: ["new", "../B"],
    code: 2,
    stderr: ["is no name for a scenario"],
  },
  {
    when: "groups are listed",
    args: ["list", "-t", "!other"],
    code: 0,
    stdout: ["a/good                                  5   small"],
  },
  {
    when: "cases are listed",
    args: ["list", "--cases", "-b", "para"],
    code: 0,
    stdout: ["a/good@para+embedded\na/other@para+embedded\n"],
  },
  {
    when: "a case is explained",
    args: ["explain", "a/good@para", "-t", "other"],
    code: 0,
    stdout: [
      "not selected: its tags are small",
      "end: shutdown 0",
      "image for xen",
      "pv-ops: shutdown",
    ],
  },
  {
    when: "a scenario with parameters is explained",
    args: ["explain", "p", "-b", "para"],
    files: { "scenarios/p.yaml": smallScenario() + "parameters: { x: [1, 2] }\n" },
    code: 0,
    stdout: ["expands to\n  p[x=1]\n    runs on para\n  p[x=2]\n", "explain 'p[x=1]'"],
  },
  {
    when: "a case is explained that --backend leaves out",
    args: ["explain", "a/good@para", "-b", "native"],
    code: 0,
    stdout: ["para+embedded           not selected: --backend names native"],
  },
  {
    when: "a case lacks its parameters",
    args: ["trace", "p@para"],
    files: { "scenarios/p.yaml": smallScenario() + "parameters: { x: [1, 2] }\n" },
    code: 2,
    stderr: ["\n  p[x=1]@para\n  p[x=2]@para"],
  },
  {
    when: "a case's back end is misspelt",
    args: ["trace", "a/good@pra"],
    code: 2,
    stderr: ['There is no case "a/good@pra". Did you mean "para"?'],
  },
  {
    when: "a case runs only where it is asked for",
    args: ["trace", "a/good@full-hw/shadow"],
    code: 0,
    stdout: ["a/good@full-hw/shadow+embedded", "each"],
  },
  {
    when: "a case to explain is not there",
    args: ["explain", "a/god"],
    code: 2,
    stderr: ['Did you mean "a/good"?'],
  },
  {
    when: "a case is traced",
    args: ["trace", "a/good@full-hw"],
    code: 0,
    stdout: ["vm-exit", "io port=0xf4 out", "out ", "end: shutdown 0"],
  },
  {
    when: "a case to trace is named in part",
    args: ["trace", "good"],
    code: 2,
    stderr: ["Did you mean one of these?\n  a/good"],
  },
  { when: "the schema is asked for", args: ["schema"], code: 0, stdout: ['"$schema"'] },
];

for (const { when, args, files = SUITE, code, stdout = [], stderr = [] } of ROWS) {
  Deno.test(`trivisor ${args.join(" ")} ends with ${code} when ${when}`, async () => {
    await withFiles(files, async (folder) => {
      const finished = await trivisor(args, folder);
      for (const part of stdout) assertStringIncludes(finished.stdout, part);
      for (const part of stderr) assertStringIncludes(finished.stderr, part);
      assertEquals(finished.code, code, finished.stderr);
      assertNoStack(finished);
    });
  });
}

function assertNoStack({ stdout, stderr }: Finished): void {
  assert(!/^\s+at .*:\d+:\d+\)?$/m.test(stdout + stderr), stdout + stderr);
}

/** The same apart from what is measured. */
function withoutTimes(json: string): string {
  return json.replaceAll(/"wallNs": [\d.]+/g, '"wallNs": 0');
}

Deno.test("trivisor run gives the same JSON twice, and with several jobs, apart from wallNs", async () => {
  const files = { ...SUITE, "scenarios/b.yaml": BROKEN, "scenarios/c.yaml": smallScenario(7) };
  await withFiles(files, async (folder) => {
    const args = ["run", "-r", "json"];
    const [once, twice, jobs] = [
      await trivisor(args, folder),
      await trivisor(args, folder),
      await trivisor([...args, "--jobs", "2"], folder),
    ];
    assertEquals(once?.code, 2);
    assertEquals(JSON.parse(once?.stdout ?? "").summary, { passed: 10, failed: 5, error: 1 });
    assertEquals(withoutTimes(twice?.stdout ?? ""), withoutTimes(once?.stdout ?? ""));
    assertEquals(withoutTimes(jobs?.stdout ?? ""), withoutTimes(once?.stdout ?? ""));
  });
});

Deno.test("trivisor run stops after the first group that fails when told to", async () => {
  const files = { "scenarios/a.yaml": smallScenario(7), "scenarios/b.yaml": smallScenario() };
  await withFiles(files, async (folder) => {
    for (const jobs of ["1", "2"]) {
      const { code, stdout } = await trivisor(["run", "--fail-fast", "-j", jobs], folder);
      assertEquals(code, 1);
      assertStringIncludes(stdout, "✗ a");
      assert(!stdout.includes("✓ b"));
    }
  });
});

Deno.test("trivisor run writes to a file where it may", async () => {
  await withFiles(SUITE, async (folder) => {
    const { code, stdout } = await trivisor(["run", "-o", "out.json", "-r", "json"], folder, [
      "--allow-write=.",
    ]);
    assertEquals([code, stdout], [0, ""]);
    assertEquals(JSON.parse(await Deno.readTextFile(`${folder}/out.json`)).version, 1);
  });
});

Deno.test("trivisor new writes a scenario that passes as it stands, and never over another", async () => {
  await withFiles(SUITE, async (folder) => {
    const made = await trivisor(["new", "b/mine"], folder, ["--allow-write=."]);
    assertEquals(made.code, 0, made.stderr);
    const ran = await trivisor(["run", "scenarios/b/mine.yaml"], folder);
    assertEquals(ran.code, 0, ran.stdout);
    const again = await trivisor(["new", "b/mine"], folder, ["--allow-write=."]);
    assertEquals(again.code, 2);
    assertStringIncludes(again.stderr, "is there already");
  });
});

Deno.test("trivisor trace --json gives events with places, instructions and hexadecimal strings", async () => {
  await withFiles(SUITE, async (folder) => {
    const { code, stdout } = await trivisor(["trace", "a/good@full-hw", "--json"], folder);
    assertEquals(code, 0);
    const { events, end } = JSON.parse(stdout);
    assertEquals(end, { kind: "shutdown", code: 0 });
    assertEquals(events[0].kind, "io");
    assertEquals(typeof events[0].rip, "string");
    assertStringIncludes(events[0].instruction, "out");
  });
});

Deno.test("trivisor doctor finds every back end of the embedded engine working", async () => {
  await withFiles({}, async (folder) => {
    const { code, stdout } = await trivisor(["doctor"], folder);
    assertEquals(code, 0, stdout);
    assertEquals(stdout.match(/@embedded +works/g)?.length, 6);
  });
});

Deno.test("trivisor says what it needs when it may not read", async () => {
  const main = new URL("./main.ts", import.meta.url).href;
  for (const args of [["run"], ["doctor"]]) {
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--ignore-env", main, ...args],
    }).output();
    const text = new TextDecoder().decode(stderr);
    assertEquals(code, 2, text);
    assertStringIncludes(text, "Needs permission for read access");
  }
});

Deno.test("trivisor list --json is JSON even where a scenario can't be read", async () => {
  await withFiles({ ...SUITE, "scenarios/b.yaml": BROKEN }, async (folder) => {
    const { code, stdout, stderr } = await trivisor(["list", "--json"], folder);
    assertEquals(code, 2);
    assertEquals(JSON.parse(stdout).length, 2);
    assertStringIncludes(stderr, "Unknown entry");
  });
});

Deno.test("trivisor run finds out at once that it can't write its report", async () => {
  await withFiles(SUITE, async (folder) => {
    const args = ["run", "-o", "nowhere/out.txt"];
    const { code, stdout, stderr } = await trivisor(args, folder, ["--allow-write=."]);
    assertEquals([code, stdout], [2, ""]);
    assertEquals(stderr, "Can't write nowhere/out.txt: No such file or directory\n");
  });
});

for (
  const verb of [[], ["run"], ["list"], ["explain"], ["trace"], ["doctor"], ["schema"], ["new"]]
) {
  Deno.test(`trivisor ${[...verb, "--help"].join(" ")} fits 80 columns`, async () => {
    const { code, stdout } = await trivisor([...verb, "--help"], ".");
    assertEquals(code, 0);
    for (const line of stdout.split("\n")) assert([...line].length <= 80, line);
  });
}

Deno.test("run judges labels that are called like what every object has", async () => {
  const text = `why: Names are the guest's to choose
guest:
  entry: protected32
  program: |
    start: hlt
    constructor: dd 5
    __proto__: dd 6
    toString: dd 7
  observe: { memory: { constructor: 4, __proto__: 4 } }
expect: { memory: { toString: 7, __proto__: 6 }, end: halt }
`;
  await withFiles({ "names.yaml": text }, async (folder) => {
    const { code, stdout, stderr } = await trivisor(["run", "names.yaml"], folder);
    assertEquals([code, stderr], [0, ""], stdout);
  });
});

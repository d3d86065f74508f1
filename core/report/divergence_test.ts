import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { setColorEnabled } from "@std/fmt/colors";
import type { Backend } from "../base/backend.ts";
import { embedded } from "../engine/embedded/engine.ts";
import { explainDivergence } from "./divergence.ts";
import { parseScenario } from "../scenario/parse.ts";
import { plan } from "../scenario/plan.ts";
import { compiledProfile } from "../vmm/compiled_profiles.ts";
import { fullHw } from "../vmm/full_hw.ts";
import type { BackendDefinition } from "../vmm/monitor.ts";
import { monitorSubject, type Subject, type SubjectSource } from "../vmm/subject.ts";
import { subjectOf } from "../vmm/subjects.ts";
import { runGroup } from "../judge/run_group.ts";

/** Writes to one port what it reads from another, and prints the sum. */
const SCENARIO = `
why: A device that counts, and a guest that believes it.
guest:
  program: |
    start:
        mov   ecx, 5
    .next:
        in    al, 0x60
        add   rbx, rax
        out   0x80, al
        loop  .next
        mov   al, bl
        mov   dx, 0x3f8
        out   dx, al
        mov   edi, 0
        pv    shutdown
`;

/** full-hw with a defect: the third port that is read answers otherwise. */
const BROKEN: BackendDefinition = {
  ...fullHw,
  create: (setup) => {
    let reads = 0;
    const { bus } = setup;
    const read = bus.read.bind(bus);
    bus.read = (space, address, size) =>
      ++reads === 3 ? (read(space, address, size), 0x21) : read(space, address, size);
    return fullHw.create(setup);
  },
};

function broken(change: (subject: Subject) => Subject = (s) => s): SubjectSource {
  const wrong = change(
    monitorSubject({ backend: "full-hw", engine: "kvm" }, BROKEN, embedded),
  );
  return {
    find: (id) => {
      const subject = id.engine === "kvm" ? wrong : subjectOf(id);
      return subject ? { subject } : { absent: "none" };
    },
  };
}

async function result(subjects: SubjectSource) {
  const { scenario, diagnostics } = parseScenario({ name: "x.yaml", text: SCENARIO }, "x");
  assert(scenario, diagnostics[0]?.message);
  const backends: readonly Backend[] = ["native", "full-hw"];
  const [group] = plan(scenario, { backends, engines: ["embedded", "kvm"] });
  const profile = compiledProfile("kvm-2017");
  assert(group && profile);
  return await runGroup(group, { profile, subjects });
}

Deno.test("runGroup() names the first event that a broken subject does otherwise, with registers", async () => {
  const { cases, divergence } = await result(broken());
  assertEquals(cases.map((c) => c.verdict), ["passed", "passed", "skipped", "diverged"]);
  assert(divergence);
  assertEquals(divergence.where, "event 6");
  assertEquals(divergence.camps.map((c) => c.subjects), [
    ["native@embedded", "full-hw@embedded"],
    ["full-hw@kvm"],
  ]);
  const [right, wrong] = divergence.camps;
  assertEquals(wrong?.registers?.["full-hw@kvm"]?.["rbx"], 0xffn * 2n + 0x21n);
  assertEquals(right?.registers?.["full-hw@embedded"]?.["rbx"], 0xffn * 3n);
  assertEquals(right?.at?.disassembly, "out 0x80, al");
  setColorEnabled(false);
  const text = explainDivergence(divergence, 80).join("\n");
  for (
    const part of [
      "first divergence: event 6",
      "all before: io none address=0x60 in size=1 value=0xff, at start.next: in al,",
      "native@embedded, full-hw@embedded agree:",
      "address=0x80 out size=1 value=0xff",
      "address=0x80 out size=1 value=0x21",
      "x.yaml:10:9: out 0x80, al",
      "rax=0x21 rbx=0x21f",
    ]
  ) assertStringIncludes(text, part);
});

Deno.test("runGroup() says that registers are unobserved of a subject that can't be stopped, or hides them", async () => {
  const runsOn = broken((subject) => ({
    ...subject,
    run: ({ stopAfter: _, ...job }) => subject.run(job),
  }));
  const hides = broken((subject) => ({
    ...subject,
    run: async (job) => ({ ...await subject.run(job), unobserved: ["registers"] }),
  }));
  for (const subjects of [runsOn, hides]) {
    const { divergence } = await result(subjects);
    assertEquals(divergence?.camps.map((c) => Object.keys(c.registers ?? {})), [
      ["native@embedded", "full-hw@embedded"],
      [],
    ]);
    assert(divergence);
    assertStringIncludes(explainDivergence(divergence, 80).join("\n"), "registers: unobserved");
  }
});

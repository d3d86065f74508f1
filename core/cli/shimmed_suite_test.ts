// The ported guests of the suite that ships, on a CPU that has no controls for deprivileged guests but has the shim under them:
// what KVM does, tried where there is no KVM. Everything has to be as with the engine's own controls.
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { deprivileged, type Gates } from "../engine/deprivileged/engine.ts";
import { embedded } from "../engine/embedded/engine.ts";
import type { VcpuFactory } from "../engine/vcpu.ts";
import { GroupRunner } from "../judge/run_group.ts";
import type { CaseGroup } from "../scenario/case.ts";
import type { Trace } from "../trace/trace.ts";
import { para } from "../vmm/para/para.ts";
import { monitorSubject } from "../vmm/subject.ts";
import { prepare } from "./prepare.ts";
import { loadProfile } from "./profile.ts";
import { filesFor } from "./project.ts";

const SCENARIOS = join(dirname(fileURLToPath(import.meta.url)), "../../scenarios");
const FEWEST_RUNS = 100;
/** SIDT and STR show the shim's tables, as they show Xen's on Xen: nothing of the guest's. */
const SHOWN = new Map([["sensitive/descriptor-tables", ["idt", "tr"]]]);
const profile = await loadProfile(undefined);

async function run(group: CaseGroup, engine: VcpuFactory): Promise<Trace | undefined> {
  const subject = monitorSubject({ backend: "para", engine: "embedded" }, para, engine);
  const runner = new GroupRunner(group, {
    profile,
    filesFor,
    subjects: { find: () => ({ subject }) },
  });
  const [first] = group.cases;
  const outcome = first && await runner.run(first);
  return outcome && "trace" in outcome ? outcome.trace : undefined;
}

/** What has to be the same. A gate of another kind is another instruction. */
function told({ events, counts, console, end, final }: Trace, hidden: readonly string[]) {
  const memory = Object.entries(final.memory).filter(([label]) => !hidden.includes(label));
  const same = events.map((event) => {
    if (event.type !== "exit") return event;
    const { bytes: _, ...exit } = event.exit;
    return exit.kind === "hypercall" ? { at: event.at, exit } : event;
  });
  return { events: same, counts, console, end, registers: final.registers, memory };
}

async function compare(folder: string, gates: Gates): Promise<number> {
  const paths = [join(SCENARIOS, folder)];
  let runs = 0;
  for (const prepared of await prepare({ paths, backends: ["para"] })) {
    assert("group" in prepared);
    const { group } = prepared;
    const direct = await run(group, embedded);
    const shimmed = await run(group, deprivileged(embedded, gates));
    if (!direct || !shimmed) continue;
    const name = group.cases[0]?.id ?? "";
    const hidden = [...SHOWN].find(([id]) => name.startsWith(id))?.[1] ?? [];
    assertEquals(told(shimmed, hidden), told(direct, hidden), name);
    runs++;
  }
  return runs;
}

Deno.test("ported guests of the suite run on the shim as on an engine with controls of its own", async () => {
  assert(await compare("", {}) >= FEWEST_RUNS);
});

for (const gate of ["vmcall", "port"] as const) {
  Deno.test(`hypercalls by the gate ${gate} are what they are by SYSCALL, but for RIP`, async () => {
    assert(await compare("block", { gate }) > 0);
  });
}

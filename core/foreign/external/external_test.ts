// The subject, on VMMs that say what a test tells them to.
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { SubjectLacks } from "../../engine/lacks.ts";
import type { GuestImage } from "../../guest/image.ts";
import { GENERAL_REGISTERS, SPECIAL_REGISTERS } from "../../base/registers.ts";
import type { Subject } from "../../vmm/subject.ts";
import { canary, codeJob } from "../canary.ts";
import { externalSubject } from "./external.ts";

/** A shell that answers a request which contains a word with lines; `hello` and `run` at least. */
const SCRIPT = `
while read -r request; do
  for answer do
    word=\${answer%%=*}
    case $request in *\\"$word\\"*) printf '%s\\n' "\${answer#*=}"; break;; esac
  done
done`;

function hello(capabilities: Record<string, unknown>, backend = "full-hw"): string {
  return "hello=" + JSON.stringify({
    type: "hello",
    protocol: "trivisor-vmm/1",
    name: "scripted",
    version: "1",
    backend,
    capabilities: {
      entries: ["real16", "long64"],
      memory: 1 << 22,
      devices: ["uart", "debug-exit"],
      exits: ["io", "hlt"],
      runs: "many",
      ...capabilities,
    },
  });
}

function lines(word: string, ...messages: unknown[]): string {
  return `${word}=${messages.map((message) => JSON.stringify(message)).join("\n")}`;
}

async function withVmm(
  answers: readonly string[],
  use: (subject: Subject) => Promise<void>,
): Promise<void> {
  const command = ["/bin/sh", "-c", SCRIPT, "vmm", ...answers];
  const subject = externalSubject({ command, grace: 10_000 });
  try {
    await use(subject);
  } finally {
    await subject.close?.();
  }
}

const events = (...events: unknown[]) => ({ type: "events", events });
const end = (end: unknown, more = {}) => ({ type: "end", end, ...more });
const shutdown = end({ kind: "shutdown", code: 42 });
const HLT = { kind: "hlt", rip: "0x1000", bytes: "f4" };

Deno.test("run() makes a trace of what the VMM tells", () =>
  withVmm([
    hello({ accesses: true, instructions: true }),
    lines(
      "run",
      events(
        {
          at: 5,
          exit: {
            kind: "io",
            rip: "0xffffffff80000000",
            detail: { port: 128, direction: "out", size: 1, value: 7 },
          },
        },
        {
          at: 5,
          access: { kind: "io", device: "none", address: 128, direction: "out", size: 1, value: 7 },
        },
        { console: "aGk=" },
      ),
      events({ at: 9, cpu: 1, exit: HLT }, {
        exit: { kind: "cpuid", rip: "0x0", detail: { leaf: 0, subleaf: 0 } },
      }),
      end({ kind: "halt" }, { instructions: 10 }),
    ),
  ], async (subject) => {
    const trace = await subject.run(canary("long64"));
    assertEquals(trace.end, { kind: "halt" });
    assertEquals(new TextDecoder().decode(trace.console), "hi");
    // CPUID exits are not among those that it shows.
    assertEquals(trace.counts.exits, { total: 2, kinds: { io: 1, hlt: 1 } });
    assertEquals(trace.counts.accesses, { io: 1 });
    assertEquals(trace.counts.instructions, 10);
    assertEquals(trace.events.map(({ at, cpu, type }) => ({ at, cpu, type })), [
      { at: 5, cpu: undefined, type: "exit" },
      { at: 5, cpu: undefined, type: "access" },
      { at: 5, cpu: undefined, type: "console" },
      { at: 9, cpu: 1, type: "exit" },
    ]);
    const [io] = trace.events;
    assert(io?.type === "exit" && io.exit.rip === 0xffff_ffff_8000_0000n);
    assertEquals(trace.exitKinds, ["io", "hlt"]);
    assertEquals(trace.unobserved, ["injections", "registers", "memory", "disks"]);
  }));

Deno.test("run() keeps registers, and reads memory through the guest's page tables", () => {
  const all = [...GENERAL_REGISTERS, ...SPECIAL_REGISTERS];
  const registers = Object.fromEntries(all.map((name) => [name, "0x0"]));
  // A large page of 4 MiB maps everything from 0x400000 to itself less that.
  const paged = {
    ...registers,
    rax: "0xffffffffffffffff",
    cr0: "0x80000001",
    cr3: "0x5000",
    cr4: "0x10",
  };
  return withVmm([
    hello({ registers: true, memoryReads: true }),
    lines("run", end({ kind: "halt" }, { registers: paged })),
    lines(`address":20484,"length`, { type: "bytes", bytes: "gwAAAA==" }),
    lines(`address":8,"length`, { type: "bytes", bytes: "AQID" }),
  ], async (subject) => {
    const job = canary("long64");
    const image: GuestImage = { ...job.image, symbols: { here: 0x40_0008n } };
    const guest = { ...job.group.guest, observe: { registers: [], memory: { here: 4 } } };
    const { final, unobserved } = await subject.run({
      ...job,
      image,
      group: { ...job.group, guest },
    });
    assertEquals(final.registers["rax"], 0xffff_ffff_ffff_ffffn);
    // Fewer bytes than asked for: RAM ends there.
    assertEquals(final.memory, { here: Uint8Array.of(1, 2, 3) });
    assertEquals(unobserved.includes("memory"), false);
  });
});

Deno.test("forwarded exits reach trivisor's devices", () => {
  const io = (port: number, direction: string, value = 0) => ({
    type: "exit",
    exit: { kind: "io", rip: "0x1000", detail: { port, direction, size: 1, value } },
  });
  return withVmm([
    hello({ devices: "forwarded" }),
    lines("run", io(0x3fd, "in")),
    lines(`value":"0x60`, io(0x3f8, "out", 0x54)),
    lines("resume", io(0xf4, "out", 42)),
    lines("stop", end({ kind: "stopped" })),
  ], async (subject) => {
    assertEquals(await subject.probe(), { available: true });
    const job = canary("long64");
    const disks = [{ sectors: 1, readOnly: false, bytes: Uint8Array.of(9) }];
    const trace = await subject.run({ ...job, image: { ...job.image, disks } });
    assertEquals(trace.end, { kind: "shutdown", code: 42 });
    assertEquals(trace.counts.exits.kinds, { io: 3 });
    assertEquals(trace.counts.accesses, { io: 3 });
    const [status] = trace.events;
    assert(status?.type === "exit" && status.exit.kind === "io");
    assertEquals(status.exit.detail.value, 0x60);
    assertEquals(trace.final.disks[0]?.at(0), 9);
  });
});

Deno.test("interrupts are delivered when the guest can take them", () => {
  const exit = (kind: string, interruptible: boolean, detail = {}) => ({
    type: "exit",
    exit: { kind, rip: "0x1000", detail },
    interruptible,
  });
  const out = (port: number, value: number, interruptible = false) =>
    exit("io", interruptible, { port, direction: "out", size: 1, value });
  // The PIC's vectors from 0x20, its mask open; then the PIT counts once from 1000, and the guest halts.
  const setUp = [[0x20, 0x11], [0x21, 0x20], [0x21, 4], [0x21, 1], [0x21, 0xfe], [0x43, 0x30], [
    0x40,
    0xe8,
  ], [0x40, 3]];
  return withVmm([
    hello({ devices: "forwarded", interrupts: true }),
    lines(
      "run",
      ...setUp.map(([port = 0, value = 0]) => out(port, value)),
      exit("external-interrupt", false),
      exit("hlt", true),
    ),
    lines("inject", out(0xf4, 42)),
    lines("stop", end({ kind: "stopped" })),
  ], async (subject) => {
    const { end, counts } = await subject.run(canary("long64"));
    assertEquals(end, { kind: "shutdown", code: 42 });
    assertEquals(counts.injections, { "external-interrupt": 1 });
  });
});

Deno.test("run() skips what the VMM says it can't do", async (t) => {
  const job = canary("long64");
  const withImage = (change: Partial<GuestImage>) => ({
    ...job,
    image: { ...job.image, ...change },
  });
  const disks = [{ sectors: 1, readOnly: true }];
  const cases: Record<string, [Parameters<Subject["run"]>[0], RegExp, Record<string, unknown>?]> = {
    "a mode": [codeJob("protected32", Uint8Array.of(0xf4)), /starts no guest in protected32/],
    "RAM": [withImage({ memory: 1 << 30 }), /no more than 4194304 bytes of RAM/],
    "CPUs": [withImage({ cpus: 2 }), /has 1 CPU, the guest wants 2/],
    "a format": [withImage({ format: "multiboot" }), /no guest of the format multiboot/],
    "a ROM": [withImage({ rom: new Uint8Array(4096) }), /no ROM/],
    "disks": [withImage({ disks }), /no disks/],
    "a device": [
      withImage({ pvOps: ["console_write", "timer_set"] }),
      /no pic, which timer_set needs/,
    ],
    "interrupts": [withImage({ pvOps: ["wait"] }), /no interrupts, which wait needs/, {
      devices: "forwarded",
    }],
  };
  for (const [name, [wanted, reason, capabilities = {}]] of Object.entries(cases)) {
    await t.step(
      name,
      () =>
        withVmm([hello(capabilities), lines("run", shutdown)], async (subject) => {
          const error = await assertRejects(async () => await subject.run(wanted), SubjectLacks);
          assertMatch(error.message, reason);
          // It is still there for the next one.
          if (!capabilities["devices"]) assertEquals((await subject.run(job)).end.kind, "shutdown");
        }),
    );
  }
});

Deno.test("run() holds a VMM to what its hello says", async (t) => {
  const cases: Record<string, [Record<string, unknown>, RegExp]> = {
    registers: [{ registers: true }, /^The end has no registers, though hello says so$/],
    instructions: [{ instructions: true }, /^The end has no instructions, though hello says so$/],
  };
  for (const [name, [capabilities, reason]] of Object.entries(cases)) {
    await t.step(
      name,
      () =>
        withVmm([hello(capabilities), lines("run", shutdown)], async (subject) => {
          const { end } = await subject.run(canary("long64"));
          assertMatch(end.kind === "crash" ? end.reason : end.kind, reason);
        }),
    );
  }
});

Deno.test("run() may be called while another one runs", () =>
  withVmm([hello({}), lines("run", events({ console: "VA==" }), shutdown)], async (subject) => {
    const jobs = Array.from({ length: 5 }, () => subject.run(canary("real16")));
    for (const { end } of await Promise.all(jobs)) {
      assertEquals(end, { kind: "shutdown", code: 42 });
    }
  }));

Deno.test("run() is given up when it is told so", () =>
  withVmm([hello({}), lines("run", events({ console: "VA==" }))], async (subject) => {
    const { end, console } = await subject.run({ ...canary("real16"), abort: () => true });
    assertEquals(end, { kind: "limit", limit: "time" });
    assert(console.length <= 1);
  }));

Deno.test("probe() tries a VMM before it is trusted", async (t) => {
  const printed = lines("run", events({ console: "VA==" }), shutdown);
  const cases: Record<string, [string[], RegExp | undefined]> = {
    "a good one": [[hello({}), printed], undefined],
    "one for another back end": [
      [hello({}, "full-bt"), printed],
      /is a full-bt, not a full-hw: choose it by --backend full-bt$/,
    ],
    "one that prints something else": [[
      hello({}),
      lines("run", events({ console: "WA==" }), shutdown),
    ], /canary in real16 has died: it should have printed "T", but printed "X"$/],
    "one that ends in another way": [
      [hello({}), lines("run", end({ kind: "halt" }))],
      /should have ended with shutdown 42, but: halt$/,
    ],
    "one that says nothing sensible": [
      ["hello=good morning", printed],
      /can't be used: line 1 of the VMM's output: expected one JSON object/,
    ],
  };
  for (const [name, [answers, why]] of Object.entries(cases)) {
    await t.step(name, () =>
      withVmm(answers, async (subject) => {
        const availability = await subject.probe();
        if (!why) {
          assertEquals(availability, { available: true });
          assertEquals(subject.version, "1");
        } else assertMatch(availability.available ? "available" : availability.why, why);
      }));
  }
  await t.step("none", async () => {
    const subject = externalSubject({ command: ["no-such-vmm"] });
    assertEquals(await subject.probe(), {
      available: false,
      why: "the VMM can't be used: there is no program no-such-vmm",
    });
    const { end } = await subject.run(canary("real16"));
    assertEquals(end, { kind: "crash", reason: "There is no program no-such-vmm", rip: 0n });
  });
});

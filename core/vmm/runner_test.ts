import { assertEquals, assertStringIncludes } from "@std/assert";
import { DEFAULT_LIMITS, type Limits } from "../scenario/case.ts";
import type { Exit, ExitVia } from "../trace/exit.ts";
import type { Trace } from "../trace/trace.ts";
import type { GuestImage } from "../guest/image.ts";
import { gpa } from "../base/address.ts";
import { treatments } from "../cpu/sensitive_operations.ts";
import type { CostProfile, Figure } from "./cost_profile.ts";
import {
  type BackendDefinition,
  IDLE,
  type Monitor,
  type Outcome,
  RESUME,
  type Setup,
  stop,
} from "./monitor.ts";
import { runCase } from "./runner.ts";
import { exits, fakeEngine, FakeVcpu, idles, madeExit, spins, type Step } from "./testing.ts";

const IMAGE: GuestImage = {
  entry: "long64",
  platform: "bare",
  memory: 0x10000,
  placed: [],
  start: 0x1000,
  free: 0x2000,
  registers: {},
  symbols: { here: 0x2000n, there: 0x2004n, far: 0x10000n },
  lines: [],
  pvOps: [],
  disks: [{ sectors: 1, readOnly: false, bytes: new Uint8Array([7]) }],
};

const figure = (value: number): Figure => ({ value, source: "made up" });
const PROFILE: CostProfile = {
  name: "test",
  layers: [{
    name: "test",
    machine: "",
    instruction: figure(2),
    exits: {
      "vm-exit": figure(100),
      "vm-exit/io": figure(1000),
      "callout": figure(10),
      "hypercall": figure(1),
      "fault": figure(1),
    },
    inlined: { "mov-cr8": figure(50) },
    native: { "port-io": figure(5) },
  }],
};

interface Given {
  readonly steps: readonly Step[];
  readonly limits?: Partial<Limits>;
  readonly monitor?: (setup: Setup) => Partial<Monitor>;
  readonly wallClock?: () => number;
  readonly vcpu?: FakeVcpu;
  /** Sizes of observed labels. */
  readonly observe?: Readonly<Record<string, number>>;
  /** Labels that the case expects something of. */
  readonly expected?: readonly string[];
}

/** Runs made-up steps under a monitor that resumes after everything but `hlt`. */
function run(given: Given): Trace {
  const { steps, limits = {}, monitor, wallClock, vcpu, expected = [] } = given;
  const { observe = { here: 4, far: 4 } } = given;
  const span = { file: { name: "t.yaml", text: "" }, start: 0, end: 0 };
  const cpu = vcpu ?? new FakeVcpu(IMAGE.memory, steps);
  const backend: BackendDefinition = {
    backend: "full-hw",
    summary: "",
    platform: "bare",
    unsuited: () => undefined,
    create: (setup) => ({
      controls: {
        kernel: {} as never,
        user: {} as never,
        exceptionVia: "vm-exit",
        exceptions: 0,
        paging: "nested",
      },
      direct: false,
      preempts: "vm-exit",
      cpuid: () => [0, 0, 0, 0],
      start: () => {},
      classify: (exit: Exit) => exit,
      handle: (exit: Exit): Outcome => exit.kind === "hlt" ? stop({ kind: "halt" }) : RESUME,
      beforeEntry: () => RESUME,
      wakeable: () => false,
      ...monitor?.(setup),
    }),
  };
  return runCase({
    group: {
      guest: {
        entry: "long64",
        memory: IMAGE.memory,
        registers: {},
        disks: [],
        expectedUnported: [],
        observe: { registers: [], memory: observe },
      },
      limits: { ...DEFAULT_LIMITS, ...limits },
    },
    subject: {
      id: "t@full-hw+embedded",
      backend: "full-hw",
      engine: "embedded",
      expect: {
        registers: {},
        memory: Object.fromEntries(
          expected.map((label) => [label, { value: { is: "any" } as const, span }]),
        ),
      },
    },
    image: IMAGE,
    backend,
    engine: fakeEngine(cpu),
    profile: PROFILE,
    wallClock: wallClock ?? (() => 0),
  });
}

const OUT = { port: 0x3f8, direction: "out", size: 1, value: 65 } as const;
const HALT = exits("hlt", {});

Deno.test("runCase() counts and charges each exit once when a monitor resumes", () => {
  const trace = run({ steps: [exits("io", OUT), exits("io", OUT), HALT] });
  assertEquals(trace.end, { kind: "halt" });
  assertEquals(trace.counts.exits, { total: 3, kinds: { io: 2, hlt: 1 } });
  assertEquals(trace.counts.instructions, 3);
  assertEquals(trace.cycles, {
    profile: "test",
    guest: 6,
    vmm: 2100,
    kinds: { io: 2000, hlt: 100 },
  });
  assertEquals(trace.events.map(({ at, type }) => [at, type]), [
    [1, "exit"],
    [2, "exit"],
    [3, "exit"],
  ]);
});

Deno.test("runCase() shows what the handler made of an exit", () => {
  const trace = run({
    steps: [exits("io", { ...OUT, direction: "in", value: 0 }), HALT],
    monitor: () => ({
      handle: (exit) => {
        if (exit.kind !== "io") return stop({ kind: "halt" });
        exit.detail.value = 0x60;
        return RESUME;
      },
    }),
  });
  const [first] = trace.events;
  assertEquals(first?.type === "exit" && first.exit.kind === "io" && first.exit.detail.value, 0x60);
});

interface Ending {
  readonly limit: "instructions" | "exits" | "time";
  readonly limits: Partial<Limits>;
  readonly steps: readonly Step[];
  readonly instructions: number;
}
const ENDINGS: readonly Ending[] = [
  { limit: "instructions", limits: { instructions: 12345 }, steps: [spins], instructions: 12345 },
  { limit: "exits", limits: { exits: 3 }, steps: [exits("io", OUT)], instructions: 3 },
  { limit: "time", limits: { time: 5000 }, steps: [spins], instructions: 2500 },
  { limit: "time", limits: { time: 2003 }, steps: [exits("io", OUT)], instructions: 2 },
];
for (const { limit, limits, steps, instructions } of ENDINGS) {
  Deno.test(`runCase() ends by limit when ${JSON.stringify(limits)} is reached`, () => {
    const trace = run({ steps, limits });
    assertEquals(trace.end, { kind: "limit", limit });
    assertEquals(trace.counts.instructions, instructions);
  });
}

Deno.test("runCase() ends by limit when measured time runs out, however long the guest's stretches are", () => {
  let ms = 0;
  const trace = run({
    steps: [spins],
    limits: { instructions: 1e12, time: 1e15, wallMs: 50 },
    wallClock: () => ms += 10,
  });
  assertEquals(trace.end, { kind: "limit", limit: "time" });
});

Deno.test("runCase() ends by limit when the guest makes no progress", () => {
  const trace = run({ steps: [() => ({ reason: "budget" })] });
  assertEquals(trace.end, { kind: "limit", limit: "time" });
});

Deno.test("runCase() crashes the run when a handler names memory that is not there", () => {
  const trace = run({
    steps: [exits("io", OUT)],
    monitor: ({ memory }) => ({
      handle: () => {
        memory.read(gpa(0xffff), 2);
        return RESUME;
      },
    }),
  });
  assertStringIncludes(trace.end.kind === "crash" ? trace.end.reason : "", "0xffff");
});

for (const preempts of ["vm-exit", false] satisfies (ExitVia | false)[]) {
  const effect = preempts ? "records an external-interrupt exit" : "records no exit";
  Deno.test(`runCase() ${effect} when an alarm cuts a run short and preempts is ${preempts}`, () => {
    let fired = -1;
    const trace = run({
      steps: [spins],
      limits: { instructions: 1000 },
      monitor: ({ clock }) => ({
        preempts,
        start: () => void clock.setAlarm(501, () => fired = clock.now()),
      }),
    });
    assertEquals(trace.counts.exits.total, preempts ? 1 : 0);
    assertEquals(trace.counts.exits.kinds["external-interrupt"] ?? 0, preempts ? 1 : 0);
    // 251 instructions of two cycles, and the exit.
    assertEquals(fired, preempts ? 602 : 502);
  });
}

Deno.test("runCase() jumps to the alarm that wakes an idle guest, and charges no cycles for it", () => {
  let awake = false;
  const trace = run({
    steps: [exits("hlt", {}), HALT],
    monitor: ({ clock }) => ({
      start: () => {
        clock.setAlarm(1_000_000, () => {});
        clock.setAlarm(2_000_000, () => awake = true);
      },
      wakeable: () => awake,
      handle: () => awake ? stop({ kind: "shutdown", code: clock.now() }) : IDLE,
    }),
  });
  assertEquals(trace.end, { kind: "shutdown", code: 2_000_000 + 2 + 100 });
  assertEquals(trace.cycles.vmm, 200);
});

Deno.test("runCase() ends with a halt when nothing will wake the guest", () => {
  assertEquals(run({ steps: [idles] }).end, { kind: "halt" });
});

Deno.test("runCase() ends with a halt when the idle guest is deaf, alarms or not", () => {
  const trace = run({
    steps: [idles],
    monitor: ({ clock }) => ({ start: () => void clock.setAlarm(10, () => {}), deaf: () => true }),
  });
  assertEquals(trace.end, { kind: "halt" });
});

Deno.test("runCase() ends by limit when the next alarm comes too late", () => {
  const trace = run({
    steps: [idles],
    limits: { time: 100 },
    monitor: ({ clock }) => ({ start: () => void clock.setAlarm(1000, () => {}) }),
  });
  assertEquals(trace.end, { kind: "limit", limit: "time" });
});

Deno.test("runCase() ends with the code that the power switch was given", () => {
  const trace = run({
    steps: [exits("io", OUT)],
    monitor: ({ power }) => ({
      handle: () => {
        power.off(3);
        return RESUME;
      },
    }),
  });
  assertEquals(trace.end, { kind: "shutdown", code: 3 });
});

Deno.test("runCase() keeps registers, observed memory and disks", () => {
  const vcpu = new FakeVcpu(IMAGE.memory, [HALT]);
  vcpu.set("rbx", 5n);
  vcpu.memory.writeU32(gpa(0x2000), 0x04030201);
  const { final } = run({ steps: [], vcpu });
  assertEquals(final.registers["rbx"], 5n);
  assertEquals(final.memory, {
    here: new Uint8Array([1, 2, 3, 4]),
    // Outside RAM.
    far: new Uint8Array(),
  });
  assertEquals(final.disks[0]?.slice(0, 2), new Uint8Array([7, 0]));
  assertEquals(vcpu.calls.at(-1), "dispose");
});

Deno.test("runCase() gives the same trace twice but for measured time", () => {
  const once = () => {
    const { wallNs: _, ...trace } = run({
      steps: [exits("io", OUT), spins, HALT],
      wallClock: () => performance.now(),
    });
    return trace;
  };
  assertEquals(once(), once());
});

Deno.test("runCase() keeps what is expected of a label, up to the next one, by the guest's translation", () => {
  const vcpu = new FakeVcpu(IMAGE.memory, [HALT]);
  vcpu.mapped.set(0x2000n, 0x5000);
  vcpu.memory.write(gpa(0x5000), new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]));
  const { final } = run({ steps: [], vcpu, observe: {}, expected: ["here", "there"] });
  assertEquals(final.memory, {
    here: new Uint8Array([1, 2, 3, 4]),
    there: new Uint8Array([5, 6, 7, 8, 9, 10, 11, 12]),
  });
});

Deno.test("runCase() counts native costs while the guest runs, not while its monitor emulates", () => {
  const vcpu = new FakeVcpu(IMAGE.memory, [
    (cpu) => {
      cpu.config?.count("port-io");
      cpu.retired++;
      return { reason: "exit", exit: madeExit("io", OUT) };
    },
    HALT,
  ]);
  const trace = run({
    steps: [],
    vcpu,
    monitor: () => ({
      handle: (exit) => {
        vcpu.config?.count("port-io");
        return exit.kind === "hlt" ? stop({ kind: "halt" }) : RESUME;
      },
    }),
  });
  assertEquals(trace.counts.native, { "port-io": 1 });
  assertEquals(trace.cycles.guest, 2 * 2 + 5);
});

Deno.test("runCase() lets time pass for what is inlined, where a technique inlines", () => {
  const vcpu = new FakeVcpu(IMAGE.memory, [HALT]);
  vcpu.inlinedCounts = { "mov-cr8": 3 };
  const table = treatments("translated");
  let now = 0;
  const trace = run({
    steps: [],
    vcpu,
    monitor: ({ clock }) => ({
      controls: {
        kernel: table,
        user: table,
        exceptionVia: "fault",
        exceptions: 0,
        paging: "nested",
      },
      handle: () => {
        now = clock.now();
        return stop({ kind: "halt" });
      },
    }),
  });
  assertEquals(now, 2 + 150 + 100);
  assertEquals(trace.cycles.kinds["inline/mov-cr8"], 150);
});

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { KVM_UNAVAILABLE } from "../../engine/kvm/testing.ts";
import { SubjectLacks } from "../../engine/lacks.ts";
import type { Limits } from "../../scenario/case.ts";
import type { Job, Subject } from "../../vmm/subject.ts";
import { canary } from "../canary.ts";
import { guestJob } from "../testing_faults_guests.ts";
import { Hand } from "./hand.ts";
import { kvmSubject } from "./kvm.ts";

/** Milliseconds that a second of work may take where others keep the machine busy. */
const AT_LAST = 20_000;

function subject(): Subject {
  const found = kvmSubject("full-hw");
  if (!("subject" in found)) throw new Error(found.absent);
  return found.subject;
}

/** The canary with other code and limits. */
function job(code: number[], limits: Partial<Limits> = {}): Job {
  const { group, image, ...rest } = canary("real16");
  const placed = [{ address: image.start, bytes: Uint8Array.from(code) }];
  return {
    ...rest,
    image: { ...image, placed },
    group: { ...group, limits: { ...group.limits, ...limits } },
  };
}

/** `jmp $`; `out 0x80, al` and back; `mov dx, 0x3f8`, then `out dx, al` for ever. */
const ENDLESS = [0xeb, 0xfe];
const ENDLESS_EXITS = [0xe6, 0x80, 0xeb, 0xfc];
const ENDLESS_TEXT = [0xba, 0xf8, 0x03, 0xb0, 0x61, 0xee, 0xeb, 0xfd];

/** Four CPUs that never leave their guests again. */
function spinning(limits: Partial<Limits> = {}): Job {
  const text = '%include "lib/smp.inc"\nstart: start_cpus other\nother: cli\njmp $';
  return guestJob("full-hw", "kvm", text, { cpus: 4, limits });
}

function test(name: string, body: () => Promise<void>): void {
  Deno.test({
    name: `full-hw@kvm ${name}${KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""}`,
    ignore: KVM_UNAVAILABLE !== undefined,
    fn: body,
  });
}

test("is tried by a canary, and tells its kernel and what that can't do", async () => {
  const kvm = subject();
  const availability = await kvm.probe();
  assert(availability.available);
  assert(/^\d+\.\d+/.test(kvm.version ?? ""), kvm.version);
  assert(["pvm", "svm", "svm-tcg", "vmx", "kvm"].includes(kvm.host ?? ""), kvm.host);
  await kvm.close?.();
});

for (
  const [name, code, limits] of [
    ["that computes for ever", ENDLESS, { wallMs: 300 }],
    ["that exits for ever", ENDLESS_EXITS, { wallMs: 300 }],
    ["that computes for ever, by its own time", ENDLESS, { time: 200_000_000 }],
  ] as const
) {
  test(`ends a guest ${name}`, async () => {
    const kvm = subject();
    await kvm.run(canary("real16"));
    const before = performance.now();
    const { end } = await kvm.run(job([...code], limits));
    assertEquals(end, { kind: "limit", limit: "time" });
    assertLess(performance.now() - before, AT_LAST);
    // The next one is not troubled.
    assertEquals((await kvm.run(canary("real16"))).end, { kind: "shutdown", code: 42 });
    await kvm.close?.();
  });
}

test("keeps what was printed until a run is ended from outside", async () => {
  const kvm = subject();
  await kvm.probe();
  let asked = 0;
  const { end, console } = await kvm.run({ ...job(ENDLESS_TEXT), abort: () => ++asked > 3 });
  assertEquals(end, { kind: "limit", limit: "time" });
  assert(console.length > 0 && console.every((byte) => byte === 0x61));
  await kvm.close?.();
});

test("ends CPUs that spin when it is told to, and when it is closed", async () => {
  const kvm = subject();
  await kvm.probe();
  let asked = 0;
  const aborted = await kvm.run({ ...spinning(), abort: () => ++asked > 3 });
  assertEquals(aborted.end, { kind: "limit", limit: "time" });
  const running = Promise.resolve(kvm.run(spinning()));
  await new Promise((resolve) => setTimeout(resolve, 200));
  await kvm.close?.();
  assertEquals((await running).end, { kind: "limit", limit: "time" });
});

test("has the host's random numbers, and says so to who wants a seed", async () => {
  const kvm = subject();
  const { image, ...rest } = canary("real16");
  await assertRejects(
    async () => void await kvm.run({ ...rest, image: { ...image, seed: 1 } }),
    SubjectLacks,
    "random",
  );
  await kvm.close?.();
});

test("leaves no descriptors or threads behind", async () => {
  const count = (what: string) => [...Deno.readDirSync(`/proc/self/${what}`)].length;
  const once = async () => {
    const kvm = subject();
    await kvm.probe();
    await kvm.run(job(ENDLESS, { wallMs: 20 }));
    await kvm.run(spinning({ wallMs: 50 }));
    await kvm.close?.();
  };
  await once();
  const fds = count("fd"), threads = count("task");
  for (let n = 0; n < 10; n++) await once();
  // Threads end a moment after they are told to, and what they held is closed then.
  for (let n = 0; n < 50 && (count("task") > threads || count("fd") > fds); n++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert(count("fd") <= fds, `${count("fd")} descriptors, ${fds} before`);
  assert(count("task") <= threads, `${count("task")} threads, ${threads} before`);
});

Deno.test("kvmSubject() says why there is no pair", () => {
  for (const backend of ["native", "full-bt", "full-hw/shadow"] as const) {
    assert("absent" in kvmSubject(backend), backend);
  }
});

const SCRIPTS: readonly [why: string, script: string, answer: string][] = [
  ["hangs", "postMessage({ type: 'ready' }); self.onmessage = () => { for (;;); };", "silent"],
  [
    "throws",
    "postMessage({ type: 'ready' }); self.onmessage = () => { throw new Error('oops'); };",
    "died",
  ],
  ["can't be loaded", "import 'data:text/javascript,(';", "died"],
  ["says nothing", "postMessage({ type: 'ready' }); self.onmessage = () => {};", "silent"],
];
for (const [why, script, expected] of SCRIPTS) {
  Deno.test(`a thread that ${why} is given up, and another one takes the next piece of work`, async () => {
    const hand = new Hand(`data:text/javascript,${encodeURIComponent(script)}`);
    for (let n = 0; n < 2; n++) {
      const before = performance.now();
      const { type } = await hand.ask({ type: "probe" }, 1_000);
      assertEquals(type, expected);
      assertLess(performance.now() - before, AT_LAST);
    }
    await hand.close();
  });
}

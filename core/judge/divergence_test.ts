import { assertEquals } from "@std/assert";
import type { Platform } from "../guest/image.ts";
import type { Access, Injection } from "../trace/exit.ts";
import type { TraceEvent } from "../trace/trace.ts";
import { type Divergence, firstDivergence } from "./divergence.ts";
import { Places } from "./place.ts";
import { type Made, makeTrace, out } from "./testing.ts";

const write = (address: number, value: number, device = "uart"): TraceEvent => {
  const access: Access = { kind: "io", device, address, direction: "out", size: 1, value };
  return { at: 1, type: "access", access };
};
const inject = (vector: number): TraceEvent => {
  const injection: Injection = { kind: "external-interrupt", vector };
  return { at: 1, type: "injection", injection };
};
const exit = (value: number, rip: bigint): TraceEvent => ({
  at: 1,
  type: "exit",
  exit: out(0x3f8, value, rip),
});
const notify = (device: string, queue: number): TraceEvent => ({
  at: 1,
  type: "access",
  access: { kind: "queue-notify", device, queue },
});

type Run = Made & { readonly platform?: Platform };

function found(runs: Readonly<Record<string, Run>>): Divergence | undefined {
  return firstDivergence(
    Object.entries(runs).map(([name, made]) => ({
      name,
      platform: made.platform ?? "bare",
      trace: makeTrace(made),
      places: new Places(),
    })),
  );
}

/** `event 2: a b | c`: where, and the camps. */
function brief(divergence: Divergence | undefined): string {
  if (!divergence) return "alike";
  const camps = divergence.camps.map(({ subjects }) => subjects.join(" ")).join(" | ");
  const hidden = divergence.unobserved.length > 0 ? `; not ${divergence.unobserved.join(" ")}` : "";
  return `${divergence.where}: ${camps}${hidden}`;
}

const AB = [write(1, 0xa), write(1, 0xb)];
const AC = [write(1, 0xa), write(1, 0xc)];

const ROWS: readonly [when: string, runs: Readonly<Record<string, Run>>, expected: string][] = [
  ["there is one run", { a: { events: AB } }, "alike"],
  ["all do the same", { a: { events: AB }, b: { events: AB } }, "alike"],
  [
    "a value differs",
    { a: { events: AC }, b: { events: AB }, c: { events: AB } },
    "event 2: b c | a",
  ],
  [
    "devices are called otherwise",
    {
      a: { events: [write(1, 2), notify("console", 1)] },
      b: { events: [write(1, 2, "serial"), notify("virtio1", 1)] },
    },
    "alike",
  ],
  [
    "another queue is notified",
    { a: { events: [notify("console", 1)] }, b: { events: [notify("console", 0)] } },
    "event 1: a | b",
  ],
  [
    "one goes on",
    { a: { events: AB }, b: { events: AB.slice(0, 1) }, c: { events: AB.slice(0, 1) } },
    "event 2: b c | a",
  ],
  [
    "one goes on, and the other was stopped by a limit",
    {
      a: { events: AB, end: { kind: "limit", limit: "time" } },
      b: { events: AB.slice(0, 1), end: { kind: "limit", limit: "time" } },
    },
    "alike",
  ],
  [
    "one goes on where the other's list is full",
    { a: { events: AB, dropped: 1 }, b: { events: AB.slice(0, 1), dropped: 5 } },
    "alike",
  ],
  [
    "exits differ, and nothing else",
    { a: { events: [exit(1, 1n), ...AB] }, b: { events: AB } },
    "alike",
  ],
  [
    "interrupts come elsewhere, and all show them",
    { a: { events: [inject(32), ...AB] }, b: { events: [...AB, inject(32)] } },
    "event 1: a | b",
  ],
  [
    "interrupts come elsewhere, and one hides them",
    {
      a: { events: [inject(32), ...AB] },
      b: { events: [...AB, inject(32)] },
      c: { events: AB, unobserved: ["injections"] },
    },
    "alike",
  ],
  [
    "accesses differ between platforms, and the console within none",
    { a: { events: AB, console: "x" }, b: { events: AC, platform: "xen", console: "x" } },
    "alike",
  ],
  [
    "accesses differ on the second platform",
    {
      a: { events: AB },
      b: { events: AB },
      c: { events: AC, platform: "kvm" },
      d: { events: AB, platform: "kvm" },
    },
    "event 2: c | d",
  ],
  [
    "accesses can't be seen, and the console differs",
    {
      a: { events: AB, console: "hello" },
      b: { console: "help", unobserved: ["accesses"] },
      c: { events: AB, console: "hello" },
    },
    "console byte 3: a c | b",
  ],
  [
    "accesses can't be seen where others differ",
    { a: { events: AB }, b: { unobserved: ["accesses"] }, c: { events: AC } },
    "event 2: a | c; not b",
  ],
  [
    "the console is cut into other pieces",
    {
      a: {
        console: "ab",
        events: [{ at: 1, type: "console", bytes: Uint8Array.of(97, 98) }],
      },
      b: { console: "ab" },
    },
    "alike",
  ],
  [
    "the console of one ends early",
    { a: { console: "ab" }, b: { console: "a" } },
    "console byte 1: a | b",
  ],
  [
    "only the end differs",
    { a: { events: AB }, b: { events: AB, end: { kind: "halt" } } },
    "the end: a | b",
  ],
  [
    "both crash, elsewhere",
    {
      a: { end: { kind: "crash", reason: "a", rip: 1n } },
      b: { end: { kind: "crash", reason: "b", rip: 2n } },
    },
    "alike",
  ],
];

for (const [when, runs, expected] of ROWS) {
  Deno.test(`firstDivergence() finds ${expected} when ${when}`, () => {
    assertEquals(brief(found(runs)), expected);
  });
}

Deno.test("firstDivergence() tells what each did, where, and what all did before", () => {
  const events = (
    value: number,
  ) => [exit(1, 0x100n), write(1, 1), exit(value, 0x200n), write(2, value)];
  const divergence = found({
    a: { events: events(3) },
    b: { events: events(4) },
    c: { events: [write(1, 1), write(2, 4)] },
    d: { events: [write(1, 1)], end: { kind: "triple-fault" } },
  });
  assertEquals(divergence?.accesses, 2);
  assertEquals(divergence?.before?.text, "io uart address=1 out size=1 value=1");
  assertEquals(divergence?.before?.place, "0x100");
  assertEquals(
    divergence?.camps.map(({ subjects, did, at }) => [subjects, did, at?.place]),
    [
      [["b", "c"], "io uart address=2 out size=1 value=4", "0x200"],
      [["a"], "io uart address=2 out size=1 value=3", "0x200"],
      [["d"], "nothing more; the end: triple fault", undefined],
    ],
  );
});

import { assertEquals } from "@std/assert";
import { Recorder } from "./recorder.ts";
import { MAX_CONSOLE, MAX_EVENTS } from "./trace.ts";

Deno.test("Recorder counts on when its list of events is full", () => {
  const recorder = new Recorder(() => 7);
  for (let i = 0; i < MAX_EVENTS + 5; i++) recorder.injection({ kind: "nmi", vector: 2 });
  assertEquals(recorder.events.length, MAX_EVENTS);
  assertEquals(recorder.dropped, 5);
  assertEquals(recorder.counts.injections, { nmi: MAX_EVENTS + 5 });
});

Deno.test("Recorder keeps the first bytes of a console that has no end", () => {
  const recorder = new Recorder(() => 0);
  const line = new Uint8Array(MAX_CONSOLE - 1).fill(0x61);
  recorder.console(line);
  recorder.console(line);
  recorder.console(line);
  assertEquals(recorder.consoleBytes().length, MAX_CONSOLE);
  const kept = recorder.events.map((event) => event.type === "console" ? event.bytes.length : 0);
  assertEquals(kept, [MAX_CONSOLE - 1, 1]);
  assertEquals(recorder.dropped, 2);
});

Deno.test("Recorder tells with each event how many instructions had retired", () => {
  let retired = 3;
  const recorder = new Recorder(() => retired);
  recorder.access({ kind: "queue-notify", device: "console", queue: 1 });
  retired = 9;
  recorder.access({ kind: "queue-notify", device: "console", queue: 1 });
  assertEquals(recorder.events.map(({ at }) => at), [3, 9]);
});

Deno.test("Recorder counts exits by kind, and by the way they came", () => {
  const recorder = new Recorder(() => 0);
  const hlt = { kind: "hlt", rip: 0n, bytes: new Uint8Array(), bitness: 64, detail: {} } as const;
  recorder.exit({ ...hlt, via: "vm-exit" });
  recorder.exit({ ...hlt, via: "callout" });
  assertEquals(recorder.counts.exits, { total: 2, kinds: { hlt: 2 } });
  assertEquals(recorder.counts.ways, { "vm-exit/hlt": 1, "callout/hlt": 1 });
});

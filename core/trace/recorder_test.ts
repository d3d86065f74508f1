import { assertEquals } from "@std/assert";
import { Recorder } from "./recorder.ts";
import { MAX_CONSOLE, MAX_EVENTS, MAX_LATE } from "./trace.ts";

Deno.test("Recorder counts on when its list of events is full", () => {
  const recorder = new Recorder(() => 7);
  const sent = MAX_EVENTS + MAX_LATE.source + 5;
  for (let i = 0; i < sent; i++) recorder.injection({ kind: "nmi", vector: 2 });
  assertEquals(recorder.events.length, MAX_EVENTS + MAX_LATE.source);
  assertEquals(recorder.dropped, 5);
  assertEquals(recorder.counts.injections, { nmi: sent });
});

Deno.test("Recorder keeps a few late events of every source, and not of endlessly many", () => {
  const recorder = new Recorder(() => 7);
  const write = (address: number) =>
    recorder.access({
      kind: "io",
      device: "none",
      address,
      direction: "out",
      size: 1,
      value: 0xff,
    });
  for (let i = 0; i < MAX_EVENTS + 1000; i++) write(0x378);
  write(0x80);
  assertEquals(recorder.events.at(-1)?.type, "access");
  assertEquals(recorder.events.length, MAX_EVENTS + MAX_LATE.source + 1);
  for (let i = 0; i < 2 * MAX_LATE.total; i++) write(0x1000 + i);
  assertEquals(recorder.events.length, MAX_EVENTS + MAX_LATE.total);
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

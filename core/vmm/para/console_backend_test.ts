import { assertEquals } from "@std/assert";
import type { Gpa } from "../../base/address.ts";
import { XEN_CONSOLE_RING } from "../../guest/layout.ts";
import { ConsoleBackend } from "./console_backend.ts";
import { testDomain } from "./testing.ts";

/** A ring with its back end, and a guest that writes to it. */
function ring() {
  const test = testDomain();
  const { memory } = test.vcpu;
  let notified = 0;
  const backend = new ConsoleBackend(test.domain, () => notified++);
  let produced = 0;
  const setProduced = (value: number) => memory.writeU32(XEN_CONSOLE_RING + 3084 as Gpa, value);
  return {
    ...test,
    backend,
    notified: () => notified,
    consumed: () => memory.readU32(XEN_CONSOLE_RING + 3080 as Gpa),
    setProduced,
    print(text: string) {
      for (const byte of new TextEncoder().encode(text)) {
        memory.write(XEN_CONSOLE_RING + 1024 + produced++ % 2048 as Gpa, Uint8Array.of(byte));
      }
      setProduced(produced);
      backend.kicked();
    },
    printed: () => new TextDecoder().decode(test.recorder.consoleBytes()),
  };
}

Deno.test("what is on the ring is printed, once, and the guest is told", () => {
  const { print, printed, consumed, notified, backend, recorder } = ring();
  print("hello ");
  print("world");
  backend.kicked();
  assertEquals([printed(), consumed(), notified()], ["hello world", 11, 2]);
  assertEquals(recorder.counts.accesses, { "queue-notify": 3 });
});

Deno.test("the ring goes round", () => {
  const { print, printed } = ring();
  const texts = ["a".repeat(2000), "b".repeat(2000), "c".repeat(2048)];
  for (const text of texts) print(text);
  assertEquals(printed(), texts.join(""));
});

Deno.test("more than the ring holds breaks it for good, and for a reason", () => {
  const { setProduced, backend, recorder, printed, print } = ring();
  setProduced(2049);
  backend.kicked();
  assertEquals(recorder.counts.accesses["device-needs-reset"], 1);
  print("x");
  assertEquals(printed(), "");
});

import { assertEquals } from "@std/assert";
import { Recorder } from "../trace/recorder.ts";
import { InterruptDelivery } from "./interrupts.ts";
import { FakeVcpu } from "./testing.ts";

/** A controller with a queue of vectors. */
function controllerOf(...vectors: number[]) {
  return {
    pending: () => vectors.length > 0,
    acknowledge: () => vectors.shift() ?? -1,
  };
}

interface Row {
  readonly when: string;
  readonly vectors: readonly number[];
  readonly interruptible: boolean;
  readonly calls: readonly string[];
}

const ROWS: readonly Row[] = [
  { when: "nothing is pending", vectors: [], interruptible: true, calls: [] },
  {
    when: "the guest can take it",
    vectors: [32],
    interruptible: true,
    calls: ["inject external-interrupt 32"],
  },
  { when: "the guest can't take it", vectors: [32], interruptible: false, calls: ["window true"] },
  {
    when: "there are two",
    vectors: [32, 40],
    interruptible: true,
    calls: ["inject external-interrupt 32", "window true"],
  },
];

for (const { when, vectors, interruptible, calls } of ROWS) {
  Deno.test(`beforeEntry() does ${calls.join(" and ") || "nothing"} when ${when}`, () => {
    const vcpu = new FakeVcpu();
    vcpu.interruptible = interruptible;
    const recorder = new Recorder(() => 0);
    const delivery = new InterruptDelivery(vcpu, controllerOf(...vectors), recorder);
    delivery.beforeEntry();
    assertEquals(vcpu.calls, calls);
    const injections = calls.filter((call) => call.startsWith("inject")).length;
    assertEquals(recorder.counts.injections["external-interrupt"] ?? 0, injections);
  });
}

Deno.test("beforeEntry() asks for one window only, and takes the request back when it is not needed", () => {
  const vcpu = new FakeVcpu();
  const vectors = [32];
  const controller = {
    pending: () => vectors.length > 0,
    acknowledge: () => vectors.shift() ?? -1,
  };
  const delivery = new InterruptDelivery(vcpu, controller, new Recorder(() => 0));
  delivery.beforeEntry();
  delivery.beforeEntry();
  vectors.pop();
  delivery.beforeEntry();
  assertEquals(vcpu.calls, ["window true", "window false"]);
});

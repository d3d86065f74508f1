import { assertEquals, assertLess } from "@std/assert";
import type { Trace } from "../../trace/trace.ts";
import { runProgram } from "../../vmm/testing_runs.ts";
import { kvmWith } from "./engine.ts";
import { KVM_UNAVAILABLE } from "./testing.ts";

/** Three texts by three notifications. */
const PROGRAM = `
start:
    mov   ebx, 3
again:
    lea   rsi, [rel text]
    mov   ecx, 2
    pv    console_write
    dec   ebx
    jnz   again
    xor   edi, edi
    pv    shutdown
text: db "hi"
`;

function notifications({ events }: Trace): number {
  return events.filter((event) => event.type === "access" && event.access.kind === "queue-notify")
    .length;
}

Deno.test({
  name: "with ioeventfd notifications do not exit, and devices hear of them all the same" +
    (KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""),
  ignore: KVM_UNAVAILABLE !== undefined,
  fn() {
    const [exit, counted] = [false, true].map((ioeventfd) =>
      runProgram("hybrid", PROGRAM, { engine: kvmWith({}, { ioeventfd }) })
    );
    for (const trace of [exit, counted]) {
      assertEquals(trace?.end, { kind: "shutdown", code: 0 });
      assertEquals(new TextDecoder().decode(trace?.console), "hihihi");
      assertEquals(trace && notifications(trace), 3);
    }
    const memory = (trace?: Trace) => trace?.counts.exits.kinds["ept-violation"] ?? 0;
    assertEquals(memory(exit) - memory(counted), 3);
    assertEquals(counted?.exitKinds?.includes("ept-violation"), false);
  },
});

Deno.test({
  name: "machines with doorbells leave no file descriptors" +
    (KVM_UNAVAILABLE ? `: ${KVM_UNAVAILABLE}` : ""),
  ignore: KVM_UNAVAILABLE !== undefined,
  fn() {
    const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const run = () => runProgram("hybrid", PROGRAM, { engine: kvmWith({}, { ioeventfd: true }) });
    run();
    const before = open();
    for (let n = 0; n < 10; n++) run();
    assertLess(open() - before, 3);
  },
});

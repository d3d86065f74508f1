import { assert, assertEquals } from "@std/assert";
import { TestSink } from "../testing.ts";
import { CONSOLE_BACKLOG, CONSOLE_MAX_CHAIN, VirtioConsole } from "./console.ts";
import { TestDriver } from "./testing.ts";

const NEXT = 1, WRITE = 2;
const RECEIVE = 0, TRANSMIT = 1;

function setup() {
  const sink = new TestSink();
  const device = new VirtioConsole(sink);
  return { sink, device, driver: new TestDriver(device).start() };
}

Deno.test("VirtioConsole sends a chain of buffers with one notification", () => {
  const { sink, driver } = setup();
  driver.put(0x8000, "hello, ");
  driver.put(0x9000, "world\n");
  driver.describe(TRANSMIT, 0, { address: 0x8000, length: 7, flags: NEXT, next: 3 });
  driver.describe(TRANSMIT, 3, { address: 0x9000, length: 6 });
  driver.offerChain(TRANSMIT, 0);
  driver.notify(TRANSMIT);
  assertEquals(sink.text, "hello, world\n");
  assertEquals(driver.used(TRANSMIT), [{ id: 0, length: 0 }]);
  assertEquals(driver.accesses, [{ kind: "queue-notify", device: "console", queue: 1 }]);
  assert(driver.line.level);
  assertEquals(driver.get("InterruptStatus"), 1);
  driver.set("InterruptACK", 1);
  assert(!driver.line.level);
});

Deno.test("VirtioConsole.receive() fills buffers, and waits for more of them", () => {
  const { device, driver } = setup();
  assertEquals(device.receive(new TextEncoder().encode("abcdef")), 6);
  driver.describe(RECEIVE, 0, { address: 0x8000, length: 4, flags: WRITE });
  driver.offerChain(RECEIVE, 0);
  driver.notify(RECEIVE);
  assertEquals(driver.text(0x8000, 4), "abcd");
  assertEquals(driver.used(RECEIVE), [{ id: 0, length: 4 }]);
  driver.offerChain(RECEIVE, 0);
  driver.notify(RECEIVE);
  assertEquals(driver.text(0x8000, 4), "efcd");
  driver.offerChain(RECEIVE, 0);
  device.receive(new TextEncoder().encode("gh"));
  assertEquals(driver.text(0x8000, 2), "gh");
});

Deno.test("VirtioConsole.receive() is bounded", () => {
  const { device } = setup();
  assertEquals(device.receive(new Uint8Array(2 * CONSOLE_BACKLOG)), CONSOLE_BACKLOG);
  assertEquals(device.receive(new Uint8Array(1)), 0);
});

Deno.test("VirtioConsole refuses output longer than its limit", () => {
  const { sink, driver } = setup();
  const half = CONSOLE_MAX_CHAIN / 2;
  driver.describe(TRANSMIT, 0, { address: 0, length: half, flags: NEXT, next: 1 });
  driver.describe(TRANSMIT, 1, { address: 0, length: half + 1 });
  driver.offerChain(TRANSMIT, 0);
  driver.notify(TRANSMIT);
  assertEquals(sink.text, "");
  assertEquals(driver.failures, [`Console output of ${CONSOLE_MAX_CHAIN + 1} bytes in one chain`]);
});

Deno.test("VirtioConsole takes emergency characters before any queue is there", () => {
  const sink = new TestSink();
  const driver = new TestDriver(new VirtioConsole(sink));
  driver.mmio.write(0x108, 4, 0x21);
  assertEquals(sink.text, "!");
});

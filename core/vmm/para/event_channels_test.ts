import { assertEquals } from "@std/assert";
import { type Gpa, PAGE_SIZE } from "../../base/address.ts";
import { XEN_SHARED_INFO } from "../../guest/layout.ts";
import { EVTCHNOP, SHARED_INFO, VCPU_INFO, VIRQ } from "./abi.ts";
import { SCRATCH, testDomain } from "./testing.ts";

/** Events as a guest sees them: pending word 0, selector, upcall flag. */
function seen({ vcpu }: ReturnType<typeof testDomain>) {
  const u64 = (offset: number) => vcpu.memory.readU64(XEN_SHARED_INFO + offset as Gpa);
  return {
    pending: u64(SHARED_INFO.evtchn_pending),
    selector: u64(VCPU_INFO.evtchn_pending_sel),
    upcall: Number(u64(VCPU_INFO.evtchn_upcall_pending) & 0xffn),
  };
}

function mask({ vcpu }: ReturnType<typeof testDomain>, port: number): void {
  const at = XEN_SHARED_INFO + SHARED_INFO.evtchn_mask as Gpa;
  vcpu.memory.writeU64(at, vcpu.memory.readU64(at) | 1n << BigInt(port));
}

Deno.test("raise() sets the pending bit, the selector and the upcall flag", () => {
  const test = testDomain();
  const port = test.domain.events.bind({ to: "ipi" });
  test.domain.events.raise(port);
  assertEquals(seen(test), { pending: 1n << BigInt(port), selector: 1n, upcall: 1 });
  assertEquals(test.domain.events.lowestPending(), port);
  assertEquals(test.domain.events.upcallDue, false, "the guest masks upcalls at entry");
  test.domain.events.masked = false;
  assertEquals(test.domain.events.upcallDue, true);
});

Deno.test("raise() of a masked port waits for unmask", () => {
  const test = testDomain();
  const { events } = test.domain;
  const port = events.bind({ to: "ipi" });
  mask(test, port);
  events.raise(port);
  assertEquals(seen(test), { pending: 1n << BigInt(port), selector: 0n, upcall: 0 });
  assertEquals(test.call("event_channel_op", EVTCHNOP.unmask, test.put(SCRATCH, port)), 0n);
  assertEquals(seen(test), { pending: 1n << BigInt(port), selector: 1n, upcall: 1 });
});

Deno.test("raise() of a port that is pending already does not ask for another upcall", () => {
  const test = testDomain();
  const { events } = test.domain;
  const port = events.bind({ to: "ipi" });
  events.raise(port);
  test.vcpu.memory.write(XEN_SHARED_INFO as Gpa, Uint8Array.of(0));
  events.raise(port);
  assertEquals(seen(test).upcall, 0);
});

Deno.test("event_channel_op binds, sends, tells and closes", () => {
  const test = testDomain();
  const op = (command: number, ...words: (number | bigint)[]) =>
    test.call("event_channel_op", command, test.put(SCRATCH, ...words));
  const word = (at: number) => test.vcpu.memory.readU32(SCRATCH + at as Gpa);
  // bind_virq: virq, vcpu, port. Ports below are the builder's: console, store, block (not attached here).
  assertEquals(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 0), 0n);
  const timer = word(8);
  assertEquals(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 0), -17n, "bound already");
  assertEquals(op(EVTCHNOP.bind_virq, 99, 0), -22n, "no such virq");
  assertEquals(op(EVTCHNOP.bind_virq, BigInt(VIRQ.CONSOLE) | 1n << 32n, 0), -2n, "no such vcpu");
  assertEquals(op(EVTCHNOP.bind_ipi, 0), 0n);
  const ipi = word(4);
  assertEquals(op(EVTCHNOP.send, timer), -22n, "virqs are Xen's to raise");
  assertEquals(op(EVTCHNOP.send, ipi), 0n);
  assertEquals(seen(test).pending, 1n << BigInt(ipi));
  assertEquals(op(EVTCHNOP.send, 4000), -22n, "not bound");
  // status: dom | port << 32, then status, vcpu, what it is bound to.
  assertEquals(op(EVTCHNOP.status, 0x7ff0n | BigInt(timer) << 32n, 0, 0), 0n);
  assertEquals([word(8), word(16)], [4, VIRQ.TIMER]);
  assertEquals(op(EVTCHNOP.alloc_unbound, 0x7ff0n | 5n << 16n), 0n);
  const unbound = word(4);
  assertEquals(op(EVTCHNOP.status, 0x7ff0n | BigInt(unbound) << 32n, 0, 0), 0n);
  assertEquals([word(8), word(16)], [1, 5]);
  assertEquals(op(EVTCHNOP.close, ipi), 0n);
  assertEquals(seen(test).pending, 0n, "closing takes the pending bit along");
  assertEquals(op(EVTCHNOP.close, ipi), -22n);
  assertEquals(op(EVTCHNOP.bind_ipi, 0), 0n);
  assertEquals(word(4), ipi, "the lowest free port");
  assertEquals(op(EVTCHNOP.bind_interdomain, 0, 0), -3n);
  assertEquals(op(EVTCHNOP.bind_pirq, 0, 0), -1n);
  assertEquals(op(77), -38n);
  assertEquals(test.call("event_channel_op", EVTCHNOP.send, 0x4000_0000), -14n);
});

Deno.test("register_vcpu_info moves the flags, once, and counts everything as pending", () => {
  const test = testDomain();
  const frame = SCRATCH / PAGE_SIZE + 3;
  const to = frame * PAGE_SIZE + 64;
  const request = test.put(SCRATCH, frame, 64);
  assertEquals(test.call("vcpu_op", 10, 0, request), 0n);
  assertEquals(test.vcpu.memory.read(to as Gpa, 2), Uint8Array.of(1, 1));
  assertEquals(test.vcpu.memory.readU64(to + 8 as Gpa), (1n << 64n) - 1n);
  assertEquals(test.call("vcpu_op", 10, 0, request), -22n);
});

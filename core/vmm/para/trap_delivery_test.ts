import { assertEquals } from "@std/assert";
import type { Gpa } from "../../base/address.ts";
import { FLAT, VCPU_INFO } from "./abi.ts";
import { SCRATCH, testDomain } from "./testing.ts";
import { deliverEvent, deliverFault, deliverSyscall, hypercallIret } from "./trap_delivery.ts";

const STACK = SCRATCH + 0x1ff8;
const HANDLER = 0x10_1000n;
/** Selectors as frames show them: the kernel's with RPL 0, though it runs at 3. */
const KERNEL_CS = BigInt(FLAT.cs64 & ~3);
const USER_CS = BigInt(FLAT.cs64);
const SS = BigInt(FLAT.ss);

/** A domain at a place, with a handler for some vectors. */
function running(maskEvents: boolean, ...vectors: number[]) {
  const test = testDomain();
  const { domain, vcpu } = test;
  for (const vector of vectors) {
    domain.traps.set(vector, { address: HANDLER, cs: FLAT.cs64, dpl: 0, maskEvents });
  }
  domain.events.masked = false;
  vcpu.set("rip", 0x10_0000n);
  vcpu.set("rsp", BigInt(STACK));
  vcpu.set("rcx", 0xccn);
  vcpu.set("r11", 0x11n);
  // The real IF is set; TF, NT and AC are not for handlers.
  vcpu.set("rflags", 0x4_4346n);
  return {
    ...test,
    frame: (words: number) =>
      Array.from(
        { length: words },
        (_, i) => vcpu.memory.readU64(Number(vcpu.get("rsp")) + 8 * i as Gpa),
      ),
  };
}

/** Goes to user mode, on tables that are the kernel's. */
function toUser({ domain, vcpu }: ReturnType<typeof running>, kernelStack: number): void {
  domain.setUserTable(domain.kernelTable / 4096);
  domain.kernelStack = { ss: FLAT.ss, rsp: BigInt(kernelStack) };
  vcpu.setMsr(0xc0000101, 1n);
  vcpu.setMsr(0xc0000102, 2n);
  domain.toggleMode();
}

Deno.test("deliverFault() builds Xen's frame on the kernel's own stack, 16-byte aligned", () => {
  const test = running(false, 13);
  deliverFault(test.domain, { vector: 13, errorCode: 0x68 });
  const { vcpu } = test;
  assertEquals(vcpu.get("rsp"), BigInt((STACK & ~15) - 64));
  // RCX, R11, error code, RIP, CS, RFLAGS, RSP, SS
  assertEquals(test.frame(8), [
    0xccn,
    0x11n,
    0x68n,
    0x10_0000n,
    KERNEL_CS,
    // RF: the instruction is to be done yet.
    0x5_4346n,
    BigInt(STACK),
    SS,
  ]);
  assertEquals(vcpu.get("rip"), HANDLER);
  assertEquals(vcpu.get("rflags"), 0x246n);
  assertEquals(test.domain.events.masked, false);
  assertEquals(test.recorder.counts.injections, { exception: 1 });
});

Deno.test("deliverFault() masks events where the handler asks for it, and shows the old mask", () => {
  for (const masked of [false, true]) {
    const test = running(true, 3);
    test.domain.events.masked = masked;
    deliverFault(test.domain, { vector: 3 });
    const [, , , cs = 0n, rflags = 0n] = test.frame(7);
    assertEquals(cs, KERNEL_CS | (masked ? 1n << 32n : 0n));
    assertEquals((rflags & 0x200n) !== 0n, !masked);
    assertEquals(test.domain.events.masked, true);
  }
});

Deno.test("deliverFault() tells a page fault's address, and whose access it was, as the guest sees it", () => {
  for (const [user, expected] of [[false, 2n], [true, 6n]] as const) {
    const test = running(false, 14);
    if (user) toUser(test, STACK);
    deliverFault(test.domain, { vector: 14, errorCode: 6, address: 0x4000_0123n });
    assertEquals(test.frame(3)[2], expected);
    const cr2 = test.domain.vcpuInfo + VCPU_INFO.cr2 as Gpa;
    assertEquals(test.vcpu.memory.readU64(cr2), 0x4000_0123n);
  }
});

Deno.test("deliverFault() from user mode changes stack, tables and GS", () => {
  const test = running(false, 6);
  toUser(test, SCRATCH + 0x4000);
  test.vcpu.set("rsp", 0x7000n);
  assertEquals(test.vcpu.msrs.get(0xc0000101), 2n);
  deliverFault(test.domain, { vector: 6 });
  assertEquals(test.domain.kernelMode, true);
  assertEquals(test.vcpu.msrs.get(0xc0000101), 1n);
  assertEquals(test.vcpu.get("rsp"), BigInt(SCRATCH + 0x4000 - 56));
  const [, , , cs, , rsp] = test.frame(7);
  assertEquals([cs, rsp], [USER_CS, 0x7000n]);
});

Deno.test("deliverFault() crashes the domain when there is no handler, or no stack", () => {
  const missing = running(false);
  assertEquals(deliverFault(missing.domain, { vector: 6 }), {
    do: "stop",
    end: { kind: "crash", reason: "Domain crashed: no handler for vector 6", rip: 0x10_0000n },
  });
  for (const stack of [0n, 0x4000_0000n, 0xa_1000n, 0x8000_0000_0000n]) {
    const test = running(false, 6);
    test.vcpu.set("rsp", stack);
    const outcome = deliverFault(test.domain, { vector: 6 });
    assertEquals(outcome.do === "stop" && outcome.end.kind, "crash");
  }
});

Deno.test("deliverEvent() masks, records the lowest port, and needs a callback", () => {
  const test = running(false);
  const port = test.domain.events.bind({ to: "ipi" });
  test.domain.events.raise(port);
  assertEquals(deliverEvent(test.domain).do, "stop");
  test.call("set_callbacks", HANDLER, 0, 0);
  assertEquals(deliverEvent(test.domain).do, "resume");
  assertEquals(test.domain.events.masked, true);
  assertEquals(test.recorder.events.at(-1), {
    at: 0,
    type: "injection",
    injection: { kind: "event", vector: 0, port },
  });
});

Deno.test("deliverSyscall() hands on where to return to, and needs a callback", () => {
  const test = running(false);
  toUser(test, STACK);
  test.call("callback_op", 0, test.put(SCRATCH, 2n | 1n << 16n, HANDLER));
  deliverSyscall(test.domain);
  // Both RCX slots: the one that SYSCALL filled and the return address.
  const [rcx, r11, rip] = test.frame(3);
  assertEquals([rcx, r11, rip], [0x10_0000n, 0x4_4346n, 0x10_0000n]);
  assertEquals(test.domain.events.masked, true, "as the callback's flag says");
  const without = running(false);
  toUser(without, STACK);
  assertEquals(deliverSyscall(without.domain).do, "stop");
});

Deno.test("iret takes back what delivery has put there, from kernel and user mode alike", () => {
  for (const user of [false, true]) {
    const test = running(true, 6);
    const { vcpu, domain } = test;
    if (user) toUser(test, SCRATCH + 0x4000);
    deliverFault(domain, { vector: 6 });
    // What a handler and the hypercall page's stub do: drop RCX and R11, push flags, rcx, r11, rax.
    const words = test.frame(7);
    const at = Number(vcpu.get("rsp")) - 16;
    test.put(at, 0xaan, words[1] ?? 0n, words[0] ?? 0n, 0n, ...words.slice(2));
    vcpu.set("rsp", BigInt(at));
    assertEquals(hypercallIret(domain).do, "resume");
    assertEquals(domain.kernelMode, !user);
    assertEquals(["rip", "rsp", "rax", "rcx", "r11", "rflags"].map((r) => vcpu.get(r as "rip")), [
      0x10_0000n,
      BigInt(STACK),
      0xaan,
      0xccn,
      0x11n,
      0x5_4346n,
    ]);
    assertEquals(domain.events.masked, false);
    assertEquals(vcpu.segment("cs").selector, FLAT.cs64);
  }
});

const BAD_FRAMES: readonly [what: string, cs: bigint, ss: bigint][] = [
  ["user mode without user tables", USER_CS, SS],
  ["a selector that is no one's", 0x48n, SS],
  ["a stack selector that is no one's", KERNEL_CS, 0x50n],
  ["a selector of the LDT", 0x0cn, SS],
];

for (const [what, cs, ss] of BAD_FRAMES) {
  Deno.test(`iret crashes the domain when it names ${what}`, () => {
    const { domain, vcpu, put } = testDomain();
    vcpu.set("rsp", BigInt(put(SCRATCH, 0, 0, 0, 0, 0x10_0000, cs, 2, STACK, ss)));
    const outcome = hypercallIret(domain);
    assertEquals(outcome.do === "stop" && outcome.end.kind, "crash");
    assertEquals(domain.kernelMode, true);
  });
}

Deno.test("iret gives the guest neither I/O privilege nor the real interrupt flag", () => {
  const { domain, vcpu, put } = testDomain();
  const flags = 0xffff_ffff_ffff_fdffn;
  vcpu.set("rsp", BigInt(put(SCRATCH, 0, 0, 0, 0, 0x10_0000, KERNEL_CS, flags, STACK, SS)));
  hypercallIret(domain);
  assertEquals(vcpu.get("rflags") & 0x2_3000n, 0n, "VM, IOPL");
  assertEquals(vcpu.get("rflags") & 0x200n, 0x200n);
  assertEquals(domain.events.masked, true);
});

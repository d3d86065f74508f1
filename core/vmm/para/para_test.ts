// The monitor with made-up exits, and nothing running.
import { assertEquals } from "@std/assert";
import type { Gpa } from "../../base/address.ts";
import type { ExitDetails, ExitKind, ExitVia } from "../../trace/exit.ts";
import { madeExit } from "../testing.ts";
import { FORCED_CPUID } from "./abi.ts";
import { para } from "./para.ts";
import { emptyImage, PvVcpu, SCRATCH, TEST_MEMORY, testSetup } from "./testing.ts";

const RIP = 0x18_0000;

function monitor(memory = TEST_MEMORY) {
  const vcpu = new PvVcpu(memory);
  const { setup, recorder, clock } = testSetup(vcpu, emptyImage(memory), () => 0);
  const subject = para.create(setup);
  subject.start(vcpu);
  const exit = <K extends ExitKind>(kind: K, detail: ExitDetails[K], via: ExitVia = "fault") =>
    subject.classify(madeExit(kind, detail, via, vcpu.get("rip")));
  /** Puts instruction bytes where RIP will be. */
  const at = (...bytes: number[]) => {
    vcpu.memory.write(
      RIP as Gpa,
      Uint8Array.from([...bytes, ...Array(15 - bytes.length).fill(0x90)]),
    );
    vcpu.set("rip", BigInt(RIP));
  };
  return { subject, vcpu, recorder, clock, exit, at, handle: subject.handle.bind(subject) };
}

Deno.test("unsuited() says why only long64 guests run", () => {
  assertEquals(para.unsuited({ entry: "long64" }), undefined);
  assertEquals(
    para.unsuited({ entry: "real16" }),
    "para starts guests in long mode, and this one in real16",
  );
});

Deno.test("beforeEntry() ends the run when the domain can't be built", () => {
  const { subject } = monitor(0x80000);
  const outcome = subject.beforeEntry();
  assertEquals(outcome.do === "stop" && outcome.end.kind, "crash");
});

Deno.test("classify() names a hypercall and the arguments it takes", () => {
  const { vcpu, exit } = monitor();
  const call = (number: bigint) => {
    vcpu.set("rax", number);
    return exit("syscall", { number }, "hypercall");
  };
  for (const [i, name] of (["rdi", "rsi", "rdx", "r10", "r8"] as const).entries()) {
    vcpu.set(name, BigInt(i + 1));
  }
  const detailOf = (number: bigint): Record<string, unknown> => {
    const { kind, via, detail } = call(number);
    return { kind, via, ...detail };
  };
  const common = { kind: "hypercall", via: "hypercall" };
  assertEquals(detailOf(18n), {
    ...common,
    name: "console_io",
    number: 18n,
    arguments: [1n, 2n, 3n],
  });
  assertEquals(detailOf(23n), { ...common, name: "iret", number: 23n, arguments: [] });
  assertEquals(detailOf(6n), {
    ...common,
    name: "unknown",
    number: 6n,
    arguments: [1n, 2n, 3n, 4n, 5n],
  });
});

Deno.test("handle() of a hypercall leaves RCX and R11 as SYSCALL does, the result in RAX and in the trace", () => {
  const { vcpu, exit, handle, at } = monitor();
  at(0x0f, 0x05);
  vcpu.set("rax", 6n);
  const hypercall = exit("syscall", { number: 6n }, "hypercall");
  assertEquals(handle(hypercall), { do: "resume" });
  assertEquals(["rax", "rcx", "r11", "rip"].map((name) => vcpu.get(name as "rax")), [
    (1n << 64n) - 38n,
    BigInt(RIP + 2),
    0x202n,
    BigInt(RIP + 2),
  ]);
  assertEquals(hypercall.kind === "hypercall" && hypercall.detail.result, -38n);
});

Deno.test("handle() of a shutdown leaves every register alone", () => {
  const { vcpu, exit, handle, at } = monitor();
  at(0x0f, 0x05);
  vcpu.memory.writeU32(SCRATCH as Gpa, 3);
  for (const [name, value] of [["rax", 29n], ["rdi", 2n], ["rsi", BigInt(SCRATCH)]] as const) {
    vcpu.set(name, value);
  }
  vcpu.set("rcx", 7n);
  vcpu.set("r11", 8n);
  const outcome = handle(exit("syscall", { number: 29n }, "hypercall"));
  assertEquals(outcome, { do: "stop", end: { kind: "shutdown", code: 3 } });
  assertEquals([vcpu.get("rcx"), vcpu.get("r11")], [7n, 8n]);
});

const UNPORTED: readonly [mnemonic: string, bytes: readonly number[]][] = [
  ["cli", [0xfa]],
  ["sti", [0xfb]],
  ["hlt", [0xf4]],
  ["in", [0xec]],
  ["out", [0xe6, 0x80]],
  ["outsb", [0xf3, 0x6e]],
  ["mov", [0x0f, 0x22, 0xd8]],
  ["mov", [0x0f, 0x20, 0xc0]],
  ["mov", [0x0f, 0x23, 0xf8]],
  ["lgdt", [0x0f, 0x01, 0x10]],
  ["lidt", [0x0f, 0x01, 0x18]],
  ["ltr", [0x0f, 0x00, 0xd8]],
  ["invlpg", [0x0f, 0x01, 0x38]],
  ["clts", [0x0f, 0x06]],
  ["wbinvd", [0x0f, 0x09]],
  ["swapgs", [0x0f, 0x01, 0xf8]],
  ["sysret", [0x48, 0x0f, 0x07]],
  ["rdmsr", [0x0f, 0x32]],
  ["wrmsr", [0x0f, 0x30]],
];

for (const [mnemonic, bytes] of UNPORTED) {
  Deno.test(`handle() ends the run and names ${mnemonic} (${bytes}) when the kernel executes it`, () => {
    const { vcpu, exit, handle, at } = monitor();
    at(...bytes);
    vcpu.set("rcx", 0x1bn);
    const outcome = handle(exit("exception", { vector: 13, errorCode: 0 }));
    assertEquals(outcome.do, "stop");
    const end = outcome.do === "stop" ? outcome.end : undefined;
    assertEquals(
      end?.kind === "unported" && end.instruction.replace("sysretq", "sysret"),
      mnemonic,
    );
    assertEquals(end?.kind === "unported" && end.rip, BigInt(RIP));
  });
}

Deno.test("handle() hands on a protection fault that has nothing to do with privilege", () => {
  const { exit, handle, at } = monitor();
  at(0x8a, 0x00); // mov al, [rax], of a non-canonical address
  const outcome = handle(exit("exception", { vector: 13, errorCode: 0 }));
  assertEquals(outcome.do === "stop" && outcome.end.kind, "crash", "no handler");
});

Deno.test("the forced-emulation prefix makes CPUID Xen's; UD2 alone stays an exception", () => {
  const { vcpu, exit, handle, at } = monitor();
  at(...FORCED_CPUID);
  vcpu.set("rax", 0x4000_0000n);
  vcpu.set("rcx", 0n);
  const cpuid = exit("exception", { vector: 6 });
  assertEquals([cpuid.kind, cpuid.via], ["cpuid", "fault"]);
  assertEquals(handle(cpuid), { do: "resume" });
  const words = Uint32Array.of(...(["rbx", "rcx", "rdx"] as const).map((r) => Number(vcpu.get(r))));
  assertEquals(new TextDecoder().decode(words.buffer), "XenVMMXenVMM");
  assertEquals(vcpu.get("rip"), BigInt(RIP + 7));
  at(0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa3);
  assertEquals(exit("exception", { vector: 6 }).kind, "exception");
});

Deno.test("MSRs of segment bases are emulated; an unknown one is a fault where the guest handles it", () => {
  const { vcpu, exit, handle, at, subject } = monitor();
  vcpu.skipLength = 2n;
  at(0x0f, 0x30);
  vcpu.set("rcx", 0xc0000101n);
  vcpu.set("rax", 0x8000n);
  vcpu.set("rdx", 0x1n);
  const write = exit("exception", { vector: 13, errorCode: 0 });
  assertEquals(write.kind, "msr-write");
  handle(write);
  assertEquals(vcpu.msrs.get(0xc0000101), 0x1_0000_8000n);
  at(0x0f, 0x32);
  vcpu.set("rax", 0n);
  vcpu.set("rdx", 0n);
  const read = exit("exception", { vector: 13, errorCode: 0 });
  handle(read);
  assertEquals([vcpu.get("rax"), vcpu.get("rdx")], [0x8000n, 1n]);
  assertEquals(read.kind === "msr-read" && read.detail.value, 0x1_0000_8000n);

  // set_trap_table: #GP.
  vcpu.memory.writeU64(SCRATCH as Gpa, 13n);
  vcpu.memory.writeU64(SCRATCH + 8 as Gpa, BigInt(RIP + 0x100));
  vcpu.set("rax", 0n);
  vcpu.set("rdi", BigInt(SCRATCH));
  handle(exit("syscall", { number: 0n }, "hypercall"));
  at(0x0f, 0x32);
  vcpu.set("rcx", 0x1234n);
  assertEquals(subject.handle(exit("exception", { vector: 13, errorCode: 0 })), { do: "resume" });
  assertEquals(vcpu.get("rip"), BigInt(RIP + 0x100));
});

Deno.test("wakeable() and beforeEntry() go by the event channels", () => {
  const { subject, vcpu } = monitor();
  assertEquals(subject.beforeEntry(), { do: "resume" });
  assertEquals(subject.wakeable(), false);
  vcpu.memory.write(0x41000 as Gpa, Uint8Array.of(1, 0));
  assertEquals(subject.wakeable(), true);
  const outcome = subject.beforeEntry();
  assertEquals(outcome.do === "stop" && outcome.end.kind, "crash", "no callback");
});

Deno.test("handle() stops loudly for an exit that para does not make", () => {
  const { exit, handle } = monitor();
  const outcome = handle(exit("ept-violation", { gpa: 0, access: "read" }));
  assertEquals(outcome.do === "stop" && outcome.end.kind, "crash");
});

// What is KVM's own: where it leaves RIP, time that is over, memory that comes and goes.
import { assert, assertEquals, assertLess } from "@std/assert";
import { gpa } from "../../base/address.ts";
import { MSR } from "../../cpu/msr.ts";
import { treatments } from "../../cpu/sensitive_operations.ts";
import { assemble } from "../../guest/asm/assemble.ts";
import type { Entry } from "../../scenario/case.ts";
import type { Exit } from "../../trace/exit.ts";
import { bareImage, startedVcpu, testUnless } from "../testing.ts";
import type { LocalApicRegisters, Stop, Vcpu, VcpuConfig } from "../vcpu.ts";
import { kvm } from "./engine.ts";
import { KVM_UNAVAILABLE } from "./testing.ts";

const INTERCEPTED = treatments("intercepted");
const CONTROLS: VcpuConfig["controls"] = {
  kernel: INTERCEPTED,
  user: INTERCEPTED,
  exceptionVia: "vm-exit",
  exceptions: 0,
  paging: "nested",
};
const ORIGIN = { real16: 0x7c00, protected32: 0x100000, long64: 0x100000 } as const;
const BITS = { real16: 16, protected32: 32, long64: 64 } as const;
const MS = 1_000_000;

function started(text: string, entry: Entry = "long64", config: Partial<VcpuConfig> = {}): Vcpu {
  const start = ORIGIN[entry];
  const span = { file: { name: "test", text }, start: 0, end: 0 };
  const { assembled, diagnostics } = assemble([{ text, span: () => span }], {
    bits: BITS[entry],
    origin: start,
  });
  assert(assembled, diagnostics.map(({ message }) => message).join("\n"));
  const { bytes } = assembled;
  const image = bareImage({ entry, memory: 4 << 20, start, placed: [{ address: start, bytes }] });
  return startedVcpu(kvm, image, { controls: CONTROLS, ...config });
}

function exitOf(stop: Stop): Exit {
  if (stop.reason !== "exit") throw new Error(`No exit, but ${stop.reason}`);
  return stop.exit;
}

function test(name: string, body: () => void): void {
  testUnless(KVM_UNAVAILABLE, `kvm: ${name}`, body);
}

/** Text, and the instructions that exit, by offset and bytes. */
const SITES: readonly [entry: Entry, text: string, exits: [offset: number, bytes: string][]][] = [
  ["real16", "out 0x80, al\nout 0x80, al\nhlt", [[0, "e680"], [2, "e680"], [4, "f4"]]],
  ["real16", "mov dx, 0x80\nout dx, eax\nin ax, dx\nhlt", [[3, "66ef"], [5, "ed"], [6, "f4"]]],
  ["protected32", "mov dx, 0xee\nout 0xee, al\nout dx, ax\nhlt", [
    [4, "e6ee"],
    [6, "66ef"],
    [8, "f4"],
  ]],
  ["long64", "mov rdi, 0xfee00000\nmov [rdi], r8d\nmov eax, [rdi + 4]\nadd qword [rdi], 1\nhlt", [
    [5, "448907"],
    [8, "8b4704"],
    [11, "48830701"],
    [11, "48830701"],
    [15, "f4"],
  ]],
  ["protected32", "mov edi, 0xfee00000\nstosd\nmov byte [edi], 7\nhlt", [
    [5, "ab"],
    [6, "c60707"],
    [9, "f4"],
  ]],
];

test("an exit's RIP and bytes are those of its instruction, also where KVM has gone on", () => {
  for (const [entry, text, expected] of SITES) {
    const vcpu = started(text, entry);
    for (const [offset, bytes] of expected) {
      const exit = exitOf(vcpu.run(1));
      const got = [Number(exit.rip) - ORIGIN[entry], exit.bytes.toHex()];
      assertEquals(got, [offset, bytes], text);
      assertEquals(vcpu.get("rip"), exit.rip, text);
      if (exit.kind === "hlt") vcpu.skip();
      else vcpu.complete(0n);
    }
    assertEquals(Number(vcpu.get("rip")) - ORIGIN[entry], (expected.at(-1)?.[0] ?? 0) + 1);
    vcpu.dispose();
  }
});

test("an answer is in its register as soon as somebody looks", () => {
  const vcpu = started("in al, 0x80\nhlt");
  exitOf(vcpu.run(1));
  vcpu.complete(0x5an);
  assertEquals(vcpu.get("rax") & 0xffn, 0x5an);
  assertEquals(vcpu.get("rip"), 0x100002n);
  assertEquals(exitOf(vcpu.run(1)).kind, "hlt");
  vcpu.dispose();
});

test("looking at registers does not lose what comes next", () => {
  const vcpu = started("mov rdi, 0xfee00000\nadd dword [rdi], 5\nhlt");
  exitOf(vcpu.run(1));
  vcpu.complete(37n);
  vcpu.registers();
  const { detail } = exitOf(vcpu.run(1));
  assertEquals(detail, { gpa: 0xfee00000, access: "write", size: 4, value: 42n });
  vcpu.complete();
  assertEquals(exitOf(vcpu.run(1)).kind, "hlt");
  vcpu.dispose();
});

test("a guest that never leaves is taken its CPU in time, again and again", () => {
  const vcpu = started("start: jmp start");
  for (let round = 0; round < 20; round++) {
    const before = performance.now();
    assertEquals(vcpu.run(1, 2 * MS), { reason: "budget" });
    assertLess(performance.now() - before, 1000);
  }
  vcpu.dispose();
});

test("an interruption that comes too late for one run is not lost, and ends no more than one", () => {
  const vcpu = started("start: out 0x80, al\njmp start");
  let budgets = 0;
  for (let round = 0; round < 2000; round++) {
    const stop = vcpu.run(1, 50_000);
    if (stop.reason === "budget") budgets++;
    else vcpu.complete();
  }
  assert(budgets > 0 && budgets < 1900, `${budgets} of 2000`);
  vcpu.dispose();
});

test("a guest whose time is over as soon as it begins gets on all the same", () => {
  const vcpu = started("start: inc rax\njmp start");
  for (let round = 0; round < 200; round++) vcpu.run(1, 1);
  assert(vcpu.get("rax") > 100n);
  vcpu.dispose();
});

test("machines that take turns on a thread keep their time, whichever of them the signal finds", () => {
  const text = "start: out 0x80, al\nspin: jmp spin";
  const vcpus = [started(text), started(text)] as const;
  const [first, second] = vcpus;
  const begin = (vcpu: Vcpu) => {
    vcpu.set("rip", BigInt(ORIGIN.long64));
    for (let stop = vcpu.run(1, 1 * MS); stop.reason !== "exit";) stop = vcpu.run(1, 1 * MS);
    vcpu.complete();
  };
  for (let round = 0; round < 10; round++) {
    // It leaves with its timer set, which goes off while the other one spins.
    begin(first);
    begin(second);
    for (const vcpu of [second, first]) {
      assertEquals(vcpu.run(1, 3 * MS), { reason: "budget" });
    }
  }
  // The last one to go takes the timer with it.
  for (const vcpu of vcpus) {
    assertEquals(timers() > 0, true);
    vcpu.dispose();
  }
  assertEquals(timers(), 0);
});

for (const [name, bytes] of [["VMCALL", "0f 01 c1"], ["VMMCALL", "0f 01 d9"]] as const) {
  test(`${name} ends, or is known not to`, () => {
    const vcpu = started(`db 0x${bytes.replaceAll(" ", ", 0x")}\nhlt`);
    try {
      let stop = vcpu.run(1, 50 * MS);
      for (let n = 0; n < 10 && stop.reason === "budget"; n++) stop = vcpu.run(1, 50 * MS);
      assertEquals(stop.reason, "exit");
    } finally {
      vcpu.dispose();
    }
  });
}

test("a ROM can be read and run, and not written", () => {
  const rom = new Uint8Array(0x10000).fill(0xf4);
  const text = "mov edi, 0xffff8000\nmov eax, [edi]\nmov dword [edi], 7\nmov ebx, [edi]\nhlt";
  const vcpu = started(text, "protected32", { rom });
  const { kind, detail } = exitOf(vcpu.run(1));
  assertEquals([kind, detail], ["ept-violation", {
    gpa: 0xffff8000,
    access: "write",
    size: 4,
    value: 7n,
  }]);
  vcpu.complete();
  assertEquals(exitOf(vcpu.run(1)).kind, "hlt");
  assertEquals([vcpu.get("rax"), vcpu.get("rbx")], [0xf4f4f4f4n, 0xf4f4f4f4n]);
  vcpu.dispose();
});

test("with address line 20 closed, odd megabytes show even ones", () => {
  const vcpu = started("mov eax, [0x200010]\nmov ebx, [0x300010]\nhlt", "protected32");
  vcpu.memory.writeU32(gpa(0x200010), 1);
  vcpu.memory.writeU32(gpa(0x300010), 2);
  // The program stands at 1 MiB: what is there then stands at 0 too.
  vcpu.memory.write(gpa(0), vcpu.memory.read(gpa(0x100000), 64));
  vcpu.a20 = false;
  assertEquals(exitOf(vcpu.run(1)).kind, "hlt");
  assertEquals([vcpu.get("rax"), vcpu.get("rbx")], [1n, 1n]);
  vcpu.a20 = true;
  vcpu.set("rip", 0x100000n);
  assertEquals(exitOf(vcpu.run(1)).kind, "hlt");
  assertEquals([vcpu.get("rax"), vcpu.get("rbx")], [1n, 2n]);
  vcpu.dispose();
});

test("INIT leaves the state of a reset", () => {
  const vcpu = started("mov eax, 5\nhlt");
  exitOf(vcpu.run(1));
  vcpu.init();
  const { general, special, segments } = vcpu.registers();
  assertEquals([special.rip, special.rflags, special.efer, special.cr4], [0xfff0n, 2n, 0n, 0n]);
  assertEquals([general.rax, segments.cs.base, vcpu.bitness], [0n, 0xffff0000n, 16]);
  vcpu.dispose();
});

test("a debug register keeps what it is set to, an MSR too, and one that nobody has is none", () => {
  const vcpu = started("hlt");
  vcpu.setDebugRegister(1, 0x1234n);
  vcpu.setDebugRegister(7, 0x404n);
  assertEquals([vcpu.debugRegister(1), vcpu.debugRegister(7)], [0x1234n, 0x404n]);
  vcpu.setMsr(0x174, 0x10n);
  assertEquals(vcpu.getMsr(0x174), 0x10n);
  assertEquals(vcpu.getMsr(0x4000_1234), undefined);
  vcpu.dispose();
});

test("an exception that is to be delivered is pending until it is", () => {
  const vcpu = started("out 0x80, al\nhlt");
  exitOf(vcpu.run(1));
  vcpu.complete();
  assertEquals(vcpu.eventPending, false);
  vcpu.inject({ type: "exception", vector: 6 });
  assertEquals(vcpu.eventPending, true);
  vcpu.dispose();
});

test("events that nobody has looked at for long are those of now, and keep what is not changed", () => {
  // Vector 2 is an NMI, 0x20 an interrupt. An NMI's handler makes more exits than KVM goes on to show events for.
  const text = [
    "xor ax, ax",
    "mov ds, ax",
    "mov word [0x08], nmi",
    "mov word [0x0a], 0",
    "mov word [0x80], interrupt",
    "mov word [0x82], 0",
    "sti",
    "again: out 0x80, al",
    "jmp again",
    "nmi: mov cx, 100",
    "more: out 0x81, al",
    "loop more",
    "out 0x83, al",
    "iret",
    "interrupt: out 0x82, al",
    "iret",
  ].join("\n");
  const vcpu = started(text, "real16");
  const port = () => {
    const { kind, detail } = exitOf(vcpu.run(1));
    vcpu.complete();
    return kind === "io" ? detail.port : kind;
  };
  const ports = (count: number) => new Set(Array.from({ length: count }, port));
  assertEquals(ports(100), new Set([0x80]));
  assertEquals([vcpu.interruptible, vcpu.eventPending], [true, false]);
  vcpu.inject({ type: "external-interrupt", vector: 0x20 });
  assertEquals([port(), port()], [0x82, 0x80]);
  assertEquals(ports(100), new Set([0x80]));
  for (let round = 0; round < 2; round++) {
    vcpu.nmi();
    assertEquals(vcpu.eventPending, true);
    assertEquals(ports(60), new Set([0x81]));
    // The second one waits for the first one's end, whatever else is set meanwhile.
    vcpu.nmi();
    vcpu.set("rbx", 5n);
    vcpu.set("cr2", 7n);
    assertEquals(ports(40), new Set([0x81]));
    // KVM's emulator does an instruction more before it looks for the next one.
    const next = [port(), port(), port()];
    assertEquals(next.filter((n) => n !== 0x80).slice(0, 2), [0x83, 0x81]);
    assertEquals([vcpu.get("rbx"), vcpu.get("cr2")], [5n, 7n]);
    assertEquals(ports(105), new Set([0x81, 0x83, 0x80]));
  }
  vcpu.dispose();
});

test("what is set after an exit is taken, and nothing else of the guest's with it", () => {
  const text = "mov ecx, 0xc0000100\nmov eax, 0x1234\nxor edx, edx\nwrmsr\n" +
    "again: out 0x80, al\njmp again";
  const vcpu = started(text);
  const exit = () => {
    assertEquals(exitOf(vcpu.run(1)).kind, "io");
    vcpu.complete();
  };
  vcpu.setSegment("fs", { ...vcpu.segment("fs"), base: 0x55n });
  exit();
  const { base, limit } = vcpu.registers().idtr;
  vcpu.set("cr2", 0x77n);
  exit();
  assertEquals([vcpu.segment("fs").base, vcpu.get("cr2")], [0x1234n, 0x77n]);
  for (let n = 0; n < 100; n++) exit();
  vcpu.setSegment("gs", { ...vcpu.segment("gs"), base: 0x99n });
  vcpu.setDescriptorTable("idtr", base + 16n, limit);
  vcpu.set("cr3", vcpu.get("cr3") | 8n);
  exit();
  assertEquals([vcpu.segment("fs").base, vcpu.segment("gs").base], [0x1234n, 0x99n]);
  assertEquals([vcpu.registers().idtr.base - base, vcpu.get("cr3") & 8n], [16n, 8n]);
  assertEquals(vcpu.get("cr2"), 0x77n);
  vcpu.dispose();
});

test("a place that another address, or other code, has come to is looked at anew", () => {
  const vcpu = started("again: out 0x80, al\nnop\njmp again", "real16");
  const exit = () => {
    const { rip, bytes, bitness } = exitOf(vcpu.run(1));
    vcpu.complete();
    return [rip, bytes.toHex(), bitness];
  };
  for (let n = 0; n < 3; n++) assertEquals(exit(), [0x7c00n, "e680", 16]);
  // The same port by other bytes, where RIP is the same afterwards.
  vcpu.set("rdx", 0x80n);
  vcpu.memory.write(gpa(0x7c00), Uint8Array.of(0x90, 0xee));
  for (let n = 0; n < 3; n++) assertEquals(exit(), [0x7c01n, "ee", 16]);
  // The same bytes at another linear address by the same RIP.
  vcpu.memory.write(gpa(0x17c00), vcpu.memory.read(gpa(0x7c00), 16));
  vcpu.setSegment("cs", { ...vcpu.segment("cs"), selector: 0x1000, base: 0x10000n });
  for (let n = 0; n < 3; n++) assertEquals(exit(), [0x17c01n, "ee", 16]);
  vcpu.dispose();
});

test("CPUID tells of an APIC as long as IA32_APIC_BASE has it enabled", () => {
  let base = 0xfee0_0900n;
  const localApic: LocalApicRegisters = {
    readMsr: (msr) => msr === MSR.APIC_BASE ? base : undefined,
    writeMsr: (msr, value) => msr === MSR.APIC_BASE && (base = value, true),
    priorityClass: 0,
  };
  const ask = "mov eax, 1\ncpuid\nout 0x80, al\n";
  const write = (low: string) => `mov ecx, 0x1b\nmov eax, ${low}\nxor edx, edx\nwrmsr\n`;
  const text = ask + write("0xfee00100") + ask + write("0xfee00900") + ask + "hlt";
  const present = (config: Partial<VcpuConfig>) => {
    const vcpu = started(text, "long64", config);
    const seen: bigint[] = [];
    for (let { kind } = exitOf(vcpu.run(1)); kind !== "hlt"; { kind } = exitOf(vcpu.run(1))) {
      if (kind === "msr-write") assertEquals(vcpu.emulate(), undefined);
      else {
        seen.push(vcpu.get("rdx") >> 9n & 1n);
        vcpu.complete();
      }
    }
    vcpu.dispose();
    return seen;
  };
  assertEquals(present({ localApic }), [1n, 0n, 1n]);
  assertEquals(base, 0xfee0_0900n);
});

test("statistics count the exits, by the kernel's names", () => {
  const vcpu = started("out 0x80, al\nout 0x80, al\nhlt");
  for (let n = 0; n < 2; n++) {
    exitOf(vcpu.run(1));
    vcpu.complete();
  }
  exitOf(vcpu.run(1));
  assert((vcpu.statistics?.()["exits"] ?? 0) >= 3);
  vcpu.dispose();
});

test("what a monitor asks for that KVM can't is said at once, and leaves nothing behind", () => {
  const before = descriptors();
  for (
    const [controls, why] of [
      [{ paging: "shadow" }, "page tables"],
      [{ exceptions: 1 << 14 }, "exceptions"],
    ] as const
  ) {
    let said = "";
    try {
      started("hlt", "long64", { controls: { ...CONTROLS, ...controls } });
    } catch (error) {
      said = error instanceof Error ? error.message : "";
    }
    assert(said.includes(why), said);
  }
  assertEquals(descriptors(), before);
});

function descriptors(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** POSIX timers of this process. */
function timers(): number {
  return Deno.readTextFileSync("/proc/self/timers").match(/^ID:/gm)?.length ?? 0;
}

function residentKib(): number {
  const status = Deno.readTextFileSync("/proc/self/status");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]);
}

test("300 machines leave no descriptors and no memory behind, and nothing of them can be reached", () => {
  const one = () => {
    const vcpu = started("mov [0x200000], eax\nout 0x80, al\nhlt", "protected32");
    exitOf(vcpu.run(1));
    vcpu.dispose();
    let reached = true;
    try {
      vcpu.memory.readU32(gpa(0));
    } catch {
      reached = false;
    }
    assertEquals(reached, false);
  };
  for (let n = 0; n < 20; n++) one();
  const fds = descriptors(), resident = residentKib();
  for (let n = 0; n < 300; n++) one();
  assertEquals(descriptors(), fds);
  // A machine touches more than 16 KiB; 300 of them would be 5 MiB at the least, were they kept.
  assertLess(residentKib() - resident, 40_000);
});

// The shim, on the embedded engine everywhere and on KVM where it is: what comes to the VMM from CPL 3, and how it goes on.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Gpa, gpa, PAGE_SIZE } from "../../base/address.ts";
import { RFLAGS } from "../../base/registers.ts";
import { GuestMemoryError } from "../../machine/memory.ts";
import type { Exit } from "../../trace/exit.ts";
import { embedded } from "../embedded/engine.ts";
import { kvmSystem, kvmWith } from "../kvm/engine.ts";
import { KVM_UNAVAILABLE } from "../kvm/testing.ts";
import type { Stop, Vcpu, VcpuFactory } from "../vcpu.ts";
import { deprivileged, type Gates } from "./engine.ts";
import { AT, GDT, mapPage, RAM, SS, startDeprivileged } from "./testing.ts";

interface Engine {
  readonly name: string;
  readonly make: (gates: Gates) => VcpuFactory;
  /** Why it is not here. */
  readonly absent?: string | undefined;
  /** Only the embedded engine has a CPU whose grant ends between any two instructions. */
  readonly counting?: true;
  /** RCX and R11 are not kept at a SYSCALL that is to be refused; other things that PVM does not do. */
  readonly pvm?: boolean;
}

const ENGINES: readonly Engine[] = [
  { name: "embedded", make: (gates) => deprivileged(embedded, gates), counting: true },
  {
    name: "kvm",
    make: kvmWith,
    absent: KVM_UNAVAILABLE,
    pvm: !KVM_UNAVAILABLE && kvmSystem().pvm,
  },
];
const BUDGET = 1_000, SECOND = 1_000_000_000;
const TF = BigInt(RFLAGS.TF);
/** DR7: the first breakpoint, on two bytes that are read or written. */
const ON_ACCESS = 0x70401n;
const PRESENT = 1n, WRITABLE = 2n, USER = 4n, ACCESSED = 0x20;

function exitOf(stop: Stop): Exit {
  if (stop.reason !== "exit") throw new Error(`No exit, but ${stop.reason}`);
  return stop.exit;
}

/** Runs to the next exit, however often it takes to get there. */
function next(vcpu: Vcpu): Exit {
  for (let tries = 0; tries < 1_000; tries++) {
    const stop = vcpu.run(BUDGET, SECOND);
    if (stop.reason !== "budget") return exitOf(stop);
  }
  throw new Error("The guest does not exit");
}

/** One instruction at CPL 3, after a NOP; kind and detail of its exit; how far RIP is from it. */
const EXITS: readonly [text: string, kind: Exit["kind"], detail: object, past?: number][] = [
  ["ud2", "exception", { vector: 6 }],
  ["div rdx", "exception", { vector: 0 }],
  ["cli", "exception", { vector: 13, errorCode: 0 }],
  ["hlt", "exception", { vector: 13, errorCode: 0 }],
  ["out 0x80, al", "exception", { vector: 13, errorCode: 0 }],
  ["out 0xec, al", "exception", { vector: 13, errorCode: 0 }],
  ["out 0xed, al", "exception", { vector: 13, errorCode: 0 }],
  ["mov rax, cr3", "exception", { vector: 13, errorCode: 0 }],
  ["rdmsr", "exception", { vector: 13, errorCode: 0 }],
  ["mov ss, cx", "exception", { vector: 13, errorCode: 0x10 }],
  [`mov rax, [${AT.absent}]`, "exception", { vector: 14, errorCode: 4, address: 0x60000n }],
  [`mov [${AT.absent} + 8], rax`, "exception", { vector: 14, errorCode: 6, address: 0x60008n }],
  [`mov rax, [${AT.supervisor}]`, "exception", { vector: 14, errorCode: 5, address: 0x61000n }],
  [`mov [${AT.readOnly}], rax`, "exception", { vector: 14, errorCode: 7, address: 0x50000n }],
  ["syscall", "syscall", { number: 0x1234n }],
  ["int 0x80", "software-interrupt", { vector: 0x80 }],
  ["int 13", "software-interrupt", { vector: 13 }],
  ["int3", "software-interrupt", { vector: 3 }],
  ["db 0xf1", "software-interrupt", { vector: 1 }],
  ["vmcall", "vmcall", { number: 0x1234n }],
];

for (const { name, make, absent, counting, pvm } of ENGINES) {
  const test = (what: string, fn: () => void) =>
    Deno.test({
      name: `${name}, deprivileged: ${what}${absent ? `: ${absent}` : ""}`,
      ignore: absent !== undefined,
      fn,
    });
  const start = (text: string, gates: Gates = {}): Vcpu => startDeprivileged(make(gates), text);
  const skipped = (text: string): boolean => {
    // INT1 ends PVM's guest, and is undefined to QEMU's CPU. VMCALL comes out where the kernel knows Xen's hypercalls, or refuses it.
    if (name === "kvm" && text === "db 0xf1") return true;
    if (pvm) return text === "mov ss, cx";
    return text === "vmcall" && name === "kvm" && !kvmSystem().showsHypercalls;
  };

  test("every way out of CPL 3 is an exit at its instruction, with the guest's registers", () => {
    for (const [text, kind, detail] of EXITS) {
      if (skipped(text)) continue;
      const vcpu = start(`nop\n${text}\nnop`);
      vcpu.set("rax", 0x1234n);
      vcpu.set("rcx", 0x11n);
      vcpu.set("r11", 0x22n);
      const exit = next(vcpu);
      const seen = { kind: exit.kind, detail: exit.detail, rip: exit.rip };
      assertEquals(seen, { kind, detail, rip: BigInt(AT.code) + 1n } as typeof seen, text);
      assertEquals(vcpu.get("rip"), exit.rip, text);
      assertEquals([vcpu.get("rsp"), vcpu.get("rax")], [BigInt(AT.stack), 0x1234n], text);
      assertEquals(vcpu.segment("cs").selector, 0xe033, text);
      assertEquals([vcpu.cpl, vcpu.bitness, vcpu.get("cr3")], [3, 64, BigInt(AT.top)], text);
      const kept = [0x11n, 0x22n];
      if (!(pvm && text === "syscall")) {
        assertEquals([vcpu.get("rcx"), vcpu.get("r11")], kept, text);
      }
      vcpu.dispose();
    }
  });

  test("the VMM goes past an instruction, or changes registers, and the guest goes on so", () => {
    const vcpu = start("start: syscall\ninc rbx\nsyscall\njmp start");
    for (let round = 1n; round <= 3n; round++) {
      next(vcpu);
      vcpu.skip();
      vcpu.set("rbx", vcpu.get("rbx") + 0x100n);
      assertEquals(next(vcpu).kind, "syscall");
      assertEquals(vcpu.get("rbx"), 0x101n * round);
      vcpu.skip();
    }
    assertEquals(vcpu.retired, counting ? 3 * 4 - 1 : 0);
    vcpu.dispose();
  });

  test("however short its turns, each call comes once", () => {
    const vcpu = start("start: inc rbx\nsyscall\njmp start");
    let calls = 0n;
    for (let turn = 0; turn < 3_000; turn++) {
      // Of some lengths, so that they end anywhere on the way to the VMM.
      const stop = vcpu.run(1, 1 + turn * 7_919 % 100_000);
      if (stop.reason === "budget") continue;
      assertEquals([exitOf(stop).kind, vcpu.get("rbx")], ["syscall", ++calls]);
      vcpu.skip();
    }
    assert(calls > 300n, `${calls} calls`);
    vcpu.dispose();
  });

  test("a SYSCALL may enter the shim, as it enters Xen: RCX and R11 tell of it then", () => {
    const vcpu = start("stc\nsyscall\nnop", { systemCalls: "entry" });
    const exit = next(vcpu);
    assertEquals([exit.kind, exit.rip], ["syscall", BigInt(AT.code) + 1n]);
    assertEquals(vcpu.get("rcx"), BigInt(AT.code) + 3n);
    assertEquals(vcpu.get("r11") & 1n, 1n);
    assertEquals(vcpu.get("rflags") & 1n, 1n);
    assertEquals(vcpu.get("rsp"), BigInt(AT.stack));
    vcpu.dispose();
  });

  test("a single step ends behind the instruction", () => {
    const vcpu = start("nop\nmov eax, 7\nnop");
    vcpu.set("rflags", vcpu.get("rflags") | TF);
    for (const rip of [1n, 6n]) {
      const exit = next(vcpu);
      assertEquals([exit.kind, exit.detail], ["exception", { vector: 1 }]);
      assertEquals([exit.rip, exit.bytes.length], [BigInt(AT.code) + rip, 0]);
    }
    assertEquals(vcpu.get("rax"), 7n);
    vcpu.dispose();
  });

  test("emulate() does one instruction, or tells its fault", () => {
    const vcpu = start(`mov [${AT.readOnly}], rax\nhlt`);
    vcpu.set("rax", 0x55n);
    next(vcpu);
    const again = vcpu.emulate();
    const address = BigInt(AT.readOnly);
    assertEquals(again, { type: "exception", vector: 14, errorCode: 7, address });
    assertEquals(vcpu.get("rip"), BigInt(AT.code));
    mapPage(vcpu, AT.readOnly, BigInt(AT.readOnly) | PRESENT | WRITABLE | USER);
    vcpu.flush();
    assertEquals(vcpu.emulate(), undefined);
    assertEquals(vcpu.memory.readU64(gpa(AT.readOnly)), 0x55n);
    assertEquals(vcpu.get("rflags") & TF, 0n);
    assertEquals(next(vcpu).rip, BigInt(AT.code) + 8n);
    vcpu.dispose();
  });

  test("what is changed in the guest's tables and flushed holds from then on", () => {
    const vcpu = start(`again: mov rax, [${AT.data}]\nsyscall\njmp again`);
    vcpu.memory.writeU64(gpa(AT.data), 1n);
    vcpu.memory.writeU64(gpa(AT.data + PAGE_SIZE), 2n);
    for (const page of [0, 1, 0, 1]) {
      mapPage(vcpu, AT.data, BigInt(AT.data + page * PAGE_SIZE) | PRESENT | WRITABLE | USER);
      vcpu.flush();
      assertEquals(next(vcpu).kind, "syscall");
      assertEquals(vcpu.get("rax"), BigInt(page + 1));
      vcpu.skip();
    }
    vcpu.dispose();
  });

  test("the guest's tables stay its own: only what the CPU has used is marked", () => {
    const vcpu = start("syscall");
    const before = vcpu.memory.read(AT.top as Gpa, PAGE_SIZE);
    next(vcpu);
    before[0] = (before[0] ?? 0) | ACCESSED;
    assertEquals(vcpu.memory.read(AT.top as Gpa, PAGE_SIZE), before);
    assertEquals(vcpu.translate(GDT + 0xf000n), undefined);
    vcpu.dispose();
  });

  test("the shim is not in the guest's RAM, and CPL 3 does not get at it", () => {
    const vcpu = start(`mov rax, ${GDT + 0x12000n}\njmp rax`);
    assertThrows(() => vcpu.memory.read(gpa(RAM), 1), GuestMemoryError);
    assertThrows(() => vcpu.memory.writeU64(gpa(RAM - 4), 0n), GuestMemoryError);
    const exit = next(vcpu);
    assert(exit.kind === "exception" && exit.detail.vector === 14, exit.kind);
    assertEquals([exit.detail.address, exit.rip], [GDT + 0x12000n, GDT + 0x12000n]);
    vcpu.dispose();
  });

  test("a debug trap that MOV SS puts off till the shim does not lose the guest", () => {
    for (const [call, kind] of [["int 0x80", "software-interrupt"], ["syscall", "syscall"]]) {
      const vcpu = start(`mov ss, [${AT.data}]\n${call}\nnop`, { systemCalls: "entry" });
      vcpu.memory.writeU16(gpa(AT.data), SS);
      vcpu.setDebugRegister(0, BigInt(AT.data));
      vcpu.setDebugRegister(7, ON_ACCESS);
      const exit = next(vcpu);
      assertEquals([exit.kind, vcpu.get("rsp")], [kind as Exit["kind"], BigInt(AT.stack)]);
      assertEquals(vcpu.segment("ss").selector, SS);
      vcpu.dispose();
    }
  });

  if (counting) {
    test("a grant that ends in the shim is an exit too", () => {
      const vcpu = start("nop\nud2");
      assertEquals(vcpu.run(1), { reason: "budget" });
      const exit = exitOf(vcpu.run(1));
      assertEquals([exit.kind, exit.rip], ["exception", BigInt(AT.code) + 1n]);
      vcpu.dispose();
    });
  }
}

// What every engine owes to monitors: the contract of vcpu.ts, tried on each engine that this machine has.
import { assert, assertEquals } from "@std/assert";
import { gpa } from "../base/address.ts";
import { treatments } from "../cpu/sensitive_operations.ts";
import { assemble } from "../guest/asm/assemble.ts";
import type { Entry } from "../scenario/case.ts";
import { embedded } from "./embedded/engine.ts";
import { kvm, kvmWith } from "./kvm/engine.ts";
import { KVM_LATE_WINDOWS, KVM_UNAVAILABLE } from "./kvm/testing.ts";
import type { ExecutionControls, Stop, Vcpu, VcpuFactory } from "./vcpu.ts";
import { bareImage, startedVcpu, testUnless } from "./testing.ts";

const KERNEL_IRQCHIP = kvmWith({}, { irqchip: "kernel" });
const ENGINES: readonly { name: string; factory: VcpuFactory; absent?: string | undefined }[] = [
  { name: "embedded", factory: embedded },
  { name: "kvm", factory: kvm, absent: KVM_UNAVAILABLE },
  { name: "kvm with irqchip=kernel", factory: KERNEL_IRQCHIP, absent: KVM_UNAVAILABLE },
];
/**
 * What a test needs of an engine beside the contract: instructions counted, every control, interrupts that the VMM delivers,
 * windows as soon as they open.
 */
type Need = "counting" | "controls" | "interrupts" | "windows";

const INTERCEPTED: ExecutionControls = {
  kernel: treatments("intercepted"),
  user: treatments("intercepted"),
  exceptionVia: "vm-exit",
  exceptions: 0,
  paging: "nested",
};
/** A guest-physical address that is no RAM, and is mapped at entry. */
const DEVICE = 0xfee00000;
const BITS = { real16: 16, protected32: 32, long64: 64 } as const;
const ORIGIN = { real16: 0x7c00, protected32: 0x100000, long64: 0x100000 } as const;

interface Machine {
  readonly vcpu: Vcpu;
  readonly symbols: Readonly<Record<string, bigint>>;
}

function start(
  factory: VcpuFactory,
  text: string,
  options: { entry?: Entry; controls?: Partial<ExecutionControls> } = {},
): Machine {
  const entry = options.entry ?? "long64";
  const span = { file: { name: "test", text }, start: 0, end: 0 };
  const { assembled, diagnostics } = assemble([{ text, span: () => span }], {
    bits: BITS[entry],
    origin: ORIGIN[entry],
  });
  assert(assembled, diagnostics.map(({ message }) => message).join("\n"));
  const image = bareImage({
    entry,
    memory: 4 << 20,
    start: ORIGIN[entry],
    placed: [{ address: ORIGIN[entry], bytes: assembled.bytes }],
  });
  const vcpu = startedVcpu(factory, image, {
    controls: { ...INTERCEPTED, ...options.controls },
  });
  started.push(vcpu);
  return { vcpu, symbols: assembled.symbols };
}

/** Those of the test that runs. */
const started: Vcpu[] = [];
const FOREVER = 1_000_000;

/** Runs it until there is something: who has to look whether a guest has halted does so now and then. */
function runOn(vcpu: Vcpu): Stop {
  let stop = vcpu.run(FOREVER);
  if (vcpu.lower) { while (stop.reason === "budget") stop = vcpu.run(FOREVER); }
  return stop;
}

function runToHlt(vcpu: Vcpu): void {
  const stop = runOn(vcpu);
  const halted = vcpu.lower ? "idle" : "hlt";
  assertEquals(stop.reason === "exit" ? stop.exit.kind : stop.reason, halted);
}

function exitOf(stop: Stop) {
  if (stop.reason !== "exit") throw new Error(`No exit, but ${stop.reason}`);
  return stop.exit;
}

/** Why an engine is not tried, if it isn't. */
function lacks(factory: VcpuFactory, need: Need | undefined): string | undefined {
  if (need === "counting" && factory.hostTime) return "it does not count instructions";
  const interrupts = need === "interrupts" || need === "windows";
  if (interrupts && factory.ownControllers) return "its own controllers deliver interrupts";
  if (need === "windows" && factory === kvm) return KVM_LATE_WINDOWS;
  if (need !== "controls") return undefined;
  const { vcpu } = start(factory, "start: hlt");
  const { controls } = vcpu.capabilities;
  for (const vcpu of started.splice(0)) vcpu.dispose();
  return controls ? undefined : "it does not take every control";
}

for (const { name, factory, absent } of ENGINES) {
  const test = (what: string, body: () => void, need?: Need) => {
    const why = absent ?? lacks(factory, need);
    testUnless(why, `${name}: ${what}`, () => {
      try {
        body();
      } finally {
        for (const vcpu of started.splice(0)) vcpu.dispose();
      }
    });
  };
  const retired = (vcpu: Vcpu, expected: number) =>
    assertEquals(vcpu.retired, factory.hostTime ? 0 : expected);

  test("run() executes exactly as many instructions as it is granted", () => {
    const { vcpu } = start(factory, "start: inc rax\ninc rax\ninc rax\nadd rbx, 2\njmp start");
    for (const grant of [1, 2, 3, 7, 48, 49, 100, 1000]) {
      const before = vcpu.retired;
      assertEquals(vcpu.run(grant), { reason: "budget" });
      assertEquals(vcpu.retired - before, grant);
    }
    // Five instructions a round, three of which count in RAX and one in RBX.
    assertEquals(vcpu.get("rax"), BigInt(Math.floor(1210 / 5) * 3));
    assertEquals(vcpu.get("rbx"), BigInt(Math.floor(1210 / 5) * 2));
  }, "counting");

  test("a repeated string instruction stops between iterations and goes on", () => {
    const { vcpu, symbols } = start(
      factory,
      "start: mov ecx, 100\nlea rdi, [rel buffer]\nmov al, 7\nrep stosb\nhlt\nalign 4096\nbuffer: resb 200",
    );
    assertEquals(vcpu.run(3 + 10).reason, "budget");
    assertEquals(vcpu.get("rcx"), 90n);
    assertEquals(vcpu.get("rip"), 0x100000n + 5n + 7n + 2n);
    runToHlt(vcpu);
    const buffer = vcpu.memory.read(gpa(Number(symbols["buffer"])), 101);
    assertEquals([buffer[0], buffer[99], buffer[100]], [7, 7, 0]);
    retired(vcpu, 3 + 100);
  }, "counting");

  test("code that changes the next instruction runs the new one", () => {
    const { vcpu } = start(
      factory,
      "start: mov ecx, 3\nagain: mov byte [rel patch + 1], cl\npatch: mov al, 99\nadd rbx, rax\ndec ecx\njnz again\nhlt",
    );
    vcpu.set("rax", 0n);
    runToHlt(vcpu);
    assertEquals(vcpu.get("rbx"), 3n + 2n + 1n);
  });

  test("what the VMM writes into code is executed", () => {
    const { vcpu, symbols } = start(factory, "start: mov al, 1\nhlt\njmp start");
    runToHlt(vcpu);
    vcpu.memory.write(gpa(Number(symbols["start"]) + 1), Uint8Array.of(42));
    vcpu.skip();
    vcpu.lower?.halts.end();
    runToHlt(vcpu);
    assertEquals(vcpu.get("rax") & 0xffn, 42n);
  });

  test("accesses that cross a page reach both", () => {
    const { vcpu } = start(
      factory,
      "start: mov rax, 0x1122334455667788\nmov [0x200ffd], rax\nmov rbx, [0x200ffd]\nadd dword [0x200ffe], 1\nmov rcx, [0x200ffd]\nhlt",
    );
    runToHlt(vcpu);
    assertEquals(vcpu.get("rbx"), 0x1122334455667788n);
    assertEquals(vcpu.get("rcx"), 0x1122334455667888n);
  });

  test("an instruction that straddles pages is executed whole", () => {
    const { vcpu } = start(
      factory,
      "start: jmp over\ntimes 0xffb - ($ - $$) nop\nover: mov rax, 0x0123456789abcdef\nhlt",
    );
    runToHlt(vcpu);
    assertEquals(vcpu.get("rax"), 0x0123456789abcdefn);
  });

  test("reading and writing device memory in one instruction makes two exits, and each is answered once", () => {
    const { vcpu } = start(
      factory,
      `start: mov rdi, ${DEVICE}\nadd dword [rdi + 8], 5\nmov rbx, rdi\nhlt`,
    );
    const read = exitOf(runOn(vcpu));
    assertEquals(read.detail, { gpa: DEVICE + 8, access: "read", size: 4, value: 0n });
    vcpu.complete(37n);
    const write = exitOf(runOn(vcpu));
    assertEquals(write.kind, "ept-violation");
    assertEquals(write.detail, { gpa: DEVICE + 8, access: "write", size: 4, value: 42n });
    assertEquals(write.rip, read.rip);
    vcpu.complete();
    runToHlt(vcpu);
    retired(vcpu, 3);
  });

  test("an access of eight bytes to a device is one exit, whatever the width of its bus", () => {
    const { vcpu } = start(factory, `start: mov rdi, ${DEVICE}\nmov rax, [rdi]\nhlt`);
    const { detail } = exitOf(runOn(vcpu));
    assertEquals(detail, { gpa: DEVICE, access: "read", size: 8, value: 0n });
    vcpu.complete(0x2222222211111111n);
    runToHlt(vcpu);
    assertEquals(vcpu.get("rax"), 0x2222222211111111n);
  });

  test("a port exit names the access, and complete() does the instruction", () => {
    const { vcpu } = start(
      factory,
      "start: mov dx, 0x3fd\nin al, dx\nmov dx, 0x3f8\nout dx, eax\nhlt",
    );
    vcpu.set("rax", 0xffff_ff00n);
    const input = exitOf(runOn(vcpu));
    assertEquals(input.kind, "io");
    assertEquals(input.detail, { port: 0x3fd, direction: "in", size: 1, value: 0 });
    vcpu.complete(0x60n);
    const output = exitOf(runOn(vcpu));
    assertEquals(output.detail, { port: 0x3f8, direction: "out", size: 4, value: 0xffff_ff60 });
    vcpu.complete();
    runToHlt(vcpu);
  });

  test("a repeated port instruction makes an exit an element", () => {
    const { vcpu, symbols } = start(
      factory,
      "start: mov dx, 0x1f0\nmov ecx, 3\nlea rdi, [rel buffer]\nrep insw\nhlt\nbuffer: resb 6",
    );
    for (const value of [0x4241n, 0x4443n, 0x4645n]) {
      const { detail } = exitOf(runOn(vcpu));
      assertEquals(detail, { port: 0x1f0, direction: "in", size: 2, value: 0, string: true });
      vcpu.complete(value);
    }
    runToHlt(vcpu);
    const read = vcpu.memory.read(gpa(Number(symbols["buffer"])), 6);
    assertEquals(new TextDecoder().decode(read), "ABCDEF");
  });

  test("skip() goes on after the instruction that exited", () => {
    const { vcpu } = start(factory, "start: cpuid\nmov ebx, 9\nhlt");
    assertEquals(exitOf(runOn(vcpu)).kind, "cpuid");
    vcpu.skip();
    runToHlt(vcpu);
    assertEquals(vcpu.get("rbx"), 9n);
    retired(vcpu, 2);
  }, "controls");

  test("privilege is checked before the exit: user code gets its fault", () => {
    // A far return to ring 3; the IDT is empty, so #GP there becomes a triple fault, with no exit for HLT.
    const { vcpu } = start(
      factory,
      "start: push 0x23\npush 0x80000\npush 0x2b\nlea rax, [rel user]\npush rax\nretfq\nuser: hlt",
    );
    assertEquals(exitOf(runOn(vcpu)).kind, "triple-fault");
  });

  test("an interrupt window opens when interrupts do, after the shadow of STI", () => {
    const { vcpu } = start(factory, "start: nop\nsti\nmov ecx, 5\nmov edx, 6\nhlt");
    assertEquals(vcpu.interruptible, false);
    vcpu.requestInterruptWindow(true);
    const exit = exitOf(runOn(vcpu));
    assertEquals(exit.kind, "interrupt-window");
    assertEquals([vcpu.get("rcx"), vcpu.get("rdx")], [5n, 0n]);
    assertEquals(vcpu.interruptible, true);
  }, "windows");

  test("inject() delivers through the guest's tables before the next instruction", () => {
    const { vcpu } = start(
      factory,
      "start: lidt [rel idtr]\nsti\nnop\nhlt\nhandler: mov ebx, 77\nhlt\nidtr: dw 0xffff\ndq 0x200000",
    );
    const { symbols } = start(
      factory,
      "start: lidt [rel idtr]\nsti\nnop\nhlt\nhandler: mov ebx, 77\nhlt\nidtr: dw 0xffff\ndq 0x200000",
    );
    const handler = symbols["handler"] ?? 0n;
    // A 64-bit interrupt gate (SDM vol. 3, figure 6-8) for vector 0x30.
    const gate = gpa(0x200000 + 16 * 0x30);
    vcpu.memory.writeU64(
      gate,
      (handler & 0xffffn) | 0x08n << 16n | 0x8e00n << 32n | (handler >> 16n & 0xffffn) << 48n,
    );
    vcpu.memory.writeU64(gpa(gate + 8), handler >> 32n);
    runToHlt(vcpu);
    vcpu.skip();
    vcpu.inject({ type: "external-interrupt", vector: 0x30 });
    runToHlt(vcpu);
    assertEquals(vcpu.get("rbx"), 77n);
    assertEquals(vcpu.get("rflags") & 0x200n, 0n);
  }, "interrupts");

  test(
    "an exception in the bitmap exits, with code and address, and nothing of the instruction has happened",
    () => {
      const { vcpu } = start(factory, "start: mov rsp, 0x40001000\nmov eax, 3\npush rax\nhlt", {
        controls: { exceptions: 1 << 14 },
      });
      const exit = exitOf(runOn(vcpu));
      assertEquals(exit.kind, "exception");
      assertEquals(exit.detail, { vector: 14, errorCode: 2, address: 0x40000ff8n });
      assertEquals(vcpu.get("rsp"), 0x40001000n);
    },
    "controls",
  );

  test(
    "shadow tables are what translates, and a store to a protected page goes through emulateStore()",
    () => {
      const { vcpu } = start(
        factory,
        "start: mov rdi, 0x300010\nmov qword [rdi], 5\nmov rax, [rdi]\nhlt",
        {
          controls: { paging: "shadow", exceptions: 1 << 14, exceptionVia: "fault" },
        },
      );
      vcpu.setShadow({
        lookup: (page) => ({
          gpa: Number(page),
          writable: page !== 0x300000n,
          user: false,
          executable: true,
        }),
      });
      const exit = exitOf(runOn(vcpu));
      assertEquals([exit.kind, exit.via, exit.detail], [
        "exception",
        "fault",
        { vector: 14, errorCode: 3, address: 0x300010n },
      ]);
      assertEquals(vcpu.emulateStore(0x300000), undefined);
      runToHlt(vcpu);
      assertEquals(vcpu.get("rax"), 5n);
    },
    "controls",
  );

  test("callOutAt() turns the fault of a site into a callout", () => {
    const { vcpu } = start(
      factory,
      "start: mov rdi, 0x300010\nsite: mov qword [rdi], 5\njmp site",
      {
        controls: { paging: "shadow", exceptions: 1 << 14, exceptionVia: "fault" },
      },
    );
    vcpu.setShadow({
      lookup: (page) => ({
        gpa: Number(page),
        writable: page !== 0x300000n,
        user: false,
        executable: true,
      }),
    });
    const first = exitOf(runOn(vcpu));
    vcpu.callOutAt(first.rip, "trace");
    const second = exitOf(runOn(vcpu));
    assertEquals([second.kind, second.via, second.detail], ["trace", "callout", {
      address: 0x300010n,
      gpa: 0x300010,
    }]);
    assertEquals(second.rip, first.rip);
  }, "controls");

  test("two runs of one guest agree in every register", () => {
    const text =
      "start: mov ecx, 500\nagain: imul rax, rcx\nadd rax, rcx\nrol rax, 7\nloop again\nhlt";
    const runs = [1, 2].map(() => {
      const { vcpu } = start(factory, text);
      runToHlt(vcpu);
      return vcpu.registers();
    });
    assertEquals(runs[0], runs[1]);
  });
}

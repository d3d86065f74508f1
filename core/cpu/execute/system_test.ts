import { assertEquals } from "@std/assert";
import { CR4, EFER, RFLAGS, VECTOR } from "../../base/registers.ts";
import { MSR } from "../msr.ts";
import { longMode, protectedMode, realMode, SELECTORS, type TestCpu } from "../testing.ts";

const IF = BigInt(RFLAGS.IF), IOPL = BigInt(RFLAGS.IOPL), AC = BigInt(RFLAGS.AC);
const GP0 = [VECTOR.GP, 0];

function wrmsr(cpu: TestCpu, msr: number, value: bigint): void {
  const bits = BigInt.asUintN(64, value);
  cpu.set({ rcx: msr, rax: bits & 0xffff_ffffn, rdx: bits >> 32n }).run(0x0f, 0x30);
}

function rdmsr(cpu: TestCpu, msr: number): bigint {
  cpu.set({ rcx: msr }).run(0x0f, 0x32);
  return (cpu.state.get("rdx") << 32n) | cpu.state.get("rax");
}

Deno.test("POPF loads what mode and level allow", () => {
  const all = 0x7fd7n;
  const rows: [string, () => TestCpu, bigint, bigint][] = [
    ["real mode", realMode, 0xffffn, all],
    ["kernel", protectedMode, 0xffffn, all],
    ["user", () => protectedMode({ level: 3 }), 0xffffn, all & ~(IF | IOPL)],
    [
      "user with IOPL 3",
      () => protectedMode({ level: 3 }).set({ rflags: IOPL | 2n }),
      0xffffn,
      all,
    ],
    ["user keeps IF", () => protectedMode({ level: 3 }).set({ rflags: IF | 2n }), 2n, IF | 2n],
  ];
  for (const [name, make, image, expected] of rows) {
    const cpu = make().set({ rsp: 0x6000 }).poke(0x6000, [
      Number(image & 0xffn),
      Number(image >> 8n),
    ]);
    cpu.run(...(cpu.state.bitness === 16 ? [0x9d] : [0x66, 0x9d]));
    assertEquals([cpu.state.rflags, cpu.state.get("rsp")], [expected, 0x6002n], name);
  }
});

Deno.test("POPFQ loads ID and AC, not VM, RF, VIF and VIP; PUSHFQ hides VM and RF", () => {
  const cpu = longMode().set({ rsp: 0x6000 }).poke64(0x6000, -1n);
  cpu.run(0x9d);
  assertEquals(cpu.state.rflags, 0x24_7fd7n);
  cpu.state.rflags |= BigInt(RFLAGS.RF);
  cpu.run(0x9c);
  assertEquals(cpu.peek64(0x6000), 0x24_7fd7n);
});

Deno.test("STI holds interrupts back for one instruction, if IF was clear", () => {
  const cpu = longMode();
  cpu.run(0xfb);
  assertEquals([cpu.state.rflags, cpu.state.interruptShadow], [IF | 2n, "sti"]);
  cpu.run(0xfb);
  assertEquals(cpu.state.interruptShadow, false);
  cpu.run(0xfa);
  assertEquals(cpu.state.rflags, 2n);
});

Deno.test("an instruction that faults leaves the interrupt shadow as it was", () => {
  const cpu = longMode({ level: 3 });
  cpu.state.interruptShadow = "sti";
  cpu.fault(0xf4);
  assertEquals(cpu.state.interruptShadow, "sti");
});

Deno.test("HLT goes past itself and tells the run loop", () => {
  const cpu = longMode();
  assertEquals([cpu.run(0xf4), cpu.state.rip], ["halt", 0x1001n]);
});

Deno.test("STAC and CLAC are the kernel's, and drop cached translations when CR4.SMAP is set", () => {
  assertEquals(longMode({ level: 3 }).fault(0x0f, 0x01, 0xcb), [VECTOR.UD]);
  const cpu = longMode();
  cpu.state.setControl("cr4", BigInt(CR4.PAE | CR4.SMAP));
  cpu.run(0x0f, 0x01, 0xcb);
  assertEquals([cpu.state.rflags & AC, cpu.flushed], [AC, ["rights"]]);
  cpu.run(0x0f, 0x01, 0xca);
  assertEquals([cpu.state.rflags & AC, cpu.flushed.length], [0n, 2]);
});

Deno.test("SYSCALL and SYSRET go to the kernel and back", () => {
  const cpu = longMode();
  wrmsr(cpu, MSR.STAR, (0x18n << 48n) | (0x08n << 32n));
  wrmsr(cpu, MSR.LSTAR, 0xffff_8000_0000_1000n);
  wrmsr(cpu, MSR.SFMASK, IF);
  cpu.set({ rip: 0x5000, rcx: 0x1234, r11: IF | 0x46n });
  cpu.run(0x48, 0x0f, 0x07);
  assertEquals([cpu.state.rip, cpu.state.rflags, cpu.state.cpl], [0x1234n, IF | 0x46n, 3]);
  assertEquals(cpu.state.segment("cs").selector, 0x28 | 3);
  assertEquals(cpu.state.segment("ss").selector, 0x20 | 3);
  cpu.run(0x0f, 0x05);
  assertEquals([cpu.state.rip, cpu.state.rflags, cpu.state.cpl], [
    0xffff_8000_0000_1000n,
    0x46n,
    0,
  ]);
  assertEquals([cpu.state.get("rcx"), cpu.state.get("r11")], [0x1236n, IF | 0x46n]);
  assertEquals([cpu.state.segment("cs").selector, cpu.state.segment("ss").selector], [8, 0x10]);
  assertEquals(cpu.counts["syscall"], 1);
});

Deno.test("SYSRET returns to compatibility mode without REX.W, and refuses a wild RIP with it", () => {
  const cpu = longMode();
  wrmsr(cpu, MSR.STAR, 0x18n << 48n);
  cpu.set({ rcx: 1n << 47n, r11: 2 });
  assertEquals(cpu.fault(0x48, 0x0f, 0x07), GP0);
  cpu.set({ rcx: 0xf_0000_1000n }).run(0x0f, 0x07);
  assertEquals([cpu.state.rip, cpu.state.bitness, cpu.state.cpl], [0x1000n, 32, 3]);
});

Deno.test("SYSENTER and SYSEXIT use their MSRs", () => {
  const cpu = protectedMode();
  assertEquals(cpu.fault(0x0f, 0x34), GP0);
  wrmsr(cpu, MSR.SYSENTER_CS, 0x08n);
  wrmsr(cpu, MSR.SYSENTER_ESP, 0x6000n);
  wrmsr(cpu, MSR.SYSENTER_EIP, 0x2000n);
  cpu.set({ rdx: 0x3000, rcx: 0x7000 }).run(0x0f, 0x35);
  assertEquals([cpu.state.rip, cpu.state.cpl, cpu.state.get("rsp")], [0x3000n, 3, 0x7000n]);
  cpu.set({ rflags: IF | 2n }).run(0x0f, 0x34);
  assertEquals([cpu.state.rip, cpu.state.cpl, cpu.state.get("rsp")], [0x2000n, 0, 0x6000n]);
  assertEquals(cpu.state.rflags, 2n);
});

Deno.test("SWAPGS and the GS_BASE MSRs move the hidden base", () => {
  const cpu = longMode();
  wrmsr(cpu, MSR.GS_BASE, 0x1111n);
  wrmsr(cpu, MSR.KERNEL_GS_BASE, 0xffff_8000_0000_2222n);
  cpu.run(0x0f, 0x01, 0xf8);
  assertEquals(cpu.state.segment("gs").base, 0xffff_8000_0000_2222n);
  assertEquals(rdmsr(cpu, MSR.KERNEL_GS_BASE), 0x1111n);
});

Deno.test("RDFSBASE and WRGSBASE need CR4.FSGSBASE", () => {
  const cpu = longMode({ level: 3 }).set({ rax: 0x1234_5678_9abcn });
  assertEquals(cpu.fault(0xf3, 0x48, 0x0f, 0xae, 0xd8), [VECTOR.UD]);
  cpu.state.setControl("cr4", BigInt(CR4.PAE | CR4.FSGSBASE));
  cpu.run(0xf3, 0x48, 0x0f, 0xae, 0xd8);
  assertEquals(cpu.state.segment("gs").base, 0x1234_5678_9abcn);
  cpu.run(0xf3, 0x48, 0x0f, 0xae, 0xd0);
  assertEquals(cpu.state.segment("fs").base, 0x1234_5678_9abcn);
  cpu.set({ rax: 1n << 56n });
  assertEquals(cpu.fault(0xf3, 0x48, 0x0f, 0xae, 0xd8), GP0);
});

Deno.test("CPUID fills the four registers and clears their upper halves", () => {
  const cpu = longMode().set({ rax: 0x1_0000_0000n, rbx: -1n, rcx: -1n, rdx: -1n });
  cpu.run(0x0f, 0xa2);
  const text = ["rbx", "rdx", "rcx"].map((name) => {
    const value = cpu.state.get(name as "rbx");
    return String.fromCharCode(...[0, 8, 16, 24].map((i) => Number((value >> BigInt(i)) & 0xffn)));
  });
  assertEquals(text.join(""), "TrivisorCPU!");
  assertEquals(cpu.state.get("rbx") >> 32n, 0n);
});

Deno.test("RDTSC reads virtual time, from where WRMSR set it", () => {
  const cpu = longMode();
  cpu.time = 0x5_0000_0001n;
  cpu.run(0x0f, 0x31);
  assertEquals([cpu.state.get("rax"), cpu.state.get("rdx")], [1n, 5n]);
  wrmsr(cpu, MSR.TSC, 7n);
  cpu.time += 100n;
  wrmsr(cpu, MSR.TSC_AUX, 3n);
  cpu.run(0x0f, 0x01, 0xf9);
  assertEquals([cpu.state.get("rax"), cpu.state.get("rdx"), cpu.state.get("rcx")], [107n, 0n, 3n]);
});

Deno.test("WRMSR and RDMSR fault when the register or the value is not there", () => {
  const cpu = longMode();
  const bad: [string, number, bigint][] = [
    ["unknown", 0x1234, 0n],
    ["read-only", MSR.MTRRCAP, 1n],
    ["not canonical", MSR.LSTAR, 1n << 56n],
    ["reserved bits of EFER", MSR.EFER, 1n << 20n],
    ["LME while paging", MSR.EFER, 0n],
    ["SFMASK beyond 32 bits", MSR.SFMASK, 1n << 32n],
  ];
  for (const [name, msr, value] of bad) {
    cpu.set({ rcx: msr, rax: value & 0xffff_ffffn, rdx: value >> 32n });
    assertEquals(cpu.fault(0x0f, 0x30), GP0, name);
  }
  assertEquals(cpu.set({ rcx: 0x1234 }).fault(0x0f, 0x32), GP0);
});

Deno.test("WRMSR of EFER keeps LMA, and changes NXE", () => {
  const cpu = longMode();
  wrmsr(cpu, MSR.EFER, BigInt(EFER.LME | EFER.SCE));
  assertEquals(rdmsr(cpu, MSR.EFER), BigInt(EFER.LME | EFER.LMA | EFER.SCE));
  assertEquals(cpu.flushed, ["everything"]);
});

Deno.test("SELECTORS of the kernel survive a round trip through SYSCALL's flat segments", () => {
  const cpu = longMode();
  wrmsr(cpu, MSR.STAR, 0x08n << 32n);
  wrmsr(cpu, MSR.LSTAR, 0x2000n);
  cpu.run(0x0f, 0x05);
  const { attributes, selector } = cpu.state.segment("cs");
  assertEquals([selector, attributes], [SELECTORS.code0, 0xa09b]);
});

Deno.test("WRMSR refuses memory types that are reserved in the PAT", () => {
  const types = 0x0706_0504_0100_0706n;
  const cpu = longMode();
  wrmsr(cpu, MSR.PAT, types);
  assertEquals(rdmsr(cpu, MSR.PAT), types);
  for (const reserved of [2n, 3n << 56n, 8n]) {
    cpu.set({ rcx: MSR.PAT, rax: reserved & 0xffff_ffffn, rdx: reserved >> 32n });
    assertEquals(cpu.fault(0x0f, 0x30), GP0, String(reserved));
  }
});

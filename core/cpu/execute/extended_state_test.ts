// XSAVE and its kin, XCR0, RDRAND, RDPID, RDPMC and instructions on cache lines: what the host's CPU can't be asked, as it has
// more state, other numbers, or does not let a process.
import { assertEquals, assertNotEquals } from "@std/assert";
import { CR0, CR4, VECTOR } from "../../base/registers.ts";
import { cpuid } from "../cpuid.ts";
import { longMode, type TestCpu } from "../testing.ts";

const AREA = 0x4000;
const XSAVE = [0x0f, 0xae, 0x26], XRSTOR = [0x0f, 0xae, 0x2e];
const XSAVEC = [0x0f, 0xc7, 0x26], XSAVEOPT = [0x0f, 0xae, 0x36];
const XGETBV = [0x0f, 0x01, 0xd0], XSETBV = [0x0f, 0x01, 0xd1];

/** In 64-bit mode, all of it turned on, RSI at an area of ones. */
function enabled(): TestCpu {
  const cpu = longMode();
  cpu.set({ cr4: cpu.state.control("cr4") | BigInt(CR4.OSXSAVE | CR4.OSFXSR) });
  cpu.state.xcr0 = 3n;
  for (let at = 0; at < 576; at += 8) cpu.poke64(AREA + at, -1n);
  return cpu.set({ rsi: AREA, rax: 3n, rdx: 0n });
}
const HEADER = AREA + 512;

Deno.test("XSAVE writes what is asked for, and of the header's bits those alone", () => {
  const cpu = enabled();
  cpu.state.setXmm(3, 0x1234n);
  cpu.set({ rax: 2n }).run(...XSAVE);
  assertEquals(cpu.peek64(AREA), 0xffff_ffff_ffff_ffffn);
  assertEquals(cpu.peek64(AREA + 160 + 48), 0x1234n);
  assertEquals(cpu.peek32(AREA + 24), 0x1f80);
  assertEquals(cpu.peek64(HEADER), 0xffff_ffff_ffff_ffffn);
});

Deno.test("XSAVE's header tells which components are not in their initial state", () => {
  const cpu = enabled().poke64(HEADER, 0);
  for (let i = 0; i < 16; i++) cpu.state.setXmm(i, 0n);
  cpu.run(...XSAVE);
  const initial = cpu.peek64(HEADER) & 2n;
  cpu.state.setXmm(15, 1n);
  cpu.run(...XSAVE);
  assertEquals([initial, cpu.peek64(HEADER) & 2n], [0n, 2n]);
});

Deno.test("XSAVEC compacts: it says so, and leaves out what is in its initial state", () => {
  const cpu = enabled();
  cpu.set({ rax: 2n }).run(...XSAVEC);
  assertEquals([cpu.peek64(HEADER), cpu.peek64(HEADER + 8)], [0n, 1n << 63n | 2n]);
  assertEquals(cpu.peek64(AREA + 160), 0xffff_ffff_ffff_ffffn);
  cpu.state.setXmm(0, 7n);
  cpu.run(...XSAVEC);
  assertEquals([cpu.peek64(HEADER), cpu.peek64(AREA + 160)], [2n, 7n]);
});

Deno.test("XSAVEOPT leaves out what is in its initial state, in the standard form", () => {
  const cpu = enabled().poke64(HEADER, 0);
  cpu.set({ rax: 2n }).run(...XSAVEOPT);
  assertEquals([cpu.peek64(HEADER), cpu.peek64(AREA + 160)], [0n, 0xffff_ffff_ffff_ffffn]);
});

Deno.test("XRSTOR initializes what the header does not have, and loads MXCSR all the same", () => {
  const cpu = enabled();
  for (let at = 0; at < 576; at += 8) cpu.poke64(AREA + at, 0);
  cpu.poke64(AREA + 24, 0x1fa0);
  cpu.state.setXmm(5, 99n);
  cpu.set({ rax: 2n }).run(...XRSTOR);
  assertEquals([cpu.state.xmm(5), cpu.state.mxcsr], [0n, 0x1fa0]);
});

Deno.test("XRSTOR faults where the header or MXCSR have what does not exist", () => {
  const bad = (change: (cpu: TestCpu) => void) => {
    const cpu = enabled();
    for (let at = 0; at < 576; at += 8) cpu.poke64(AREA + at, 0);
    change(cpu);
    return cpu.fault(...XRSTOR)[0];
  };
  assertEquals(bad((cpu) => cpu.poke64(HEADER, 4)), VECTOR.GP);
  assertEquals(bad((cpu) => cpu.poke64(HEADER + 8, 1)), VECTOR.GP);
  assertEquals(bad((cpu) => cpu.poke64(HEADER + 16, 1)), VECTOR.GP);
  assertEquals(bad((cpu) => cpu.poke64(AREA + 24, 0x10000)), VECTOR.GP);
  assertEquals(bad((cpu) => cpu.set({ rsi: AREA + 32 })), VECTOR.GP);
  assertEquals(
    bad((cpu) => cpu.set({ cr0: cpu.state.control("cr0") | BigInt(CR0.TS) })),
    VECTOR.NM,
  );
  assertEquals(bad((cpu) => cpu.set({ cr4: 0x20 })), VECTOR.UD);
});

Deno.test("XRSTOR gives back what XSAVE and XSAVEC have taken", () => {
  for (const save of [XSAVE, XSAVEC]) {
    const cpu = enabled();
    for (let at = 0; at < 576; at += 8) cpu.poke64(AREA + at, 0);
    for (let i = 0; i < 16; i++) cpu.state.setXmm(i, BigInt(i * 3 + 1) << 70n);
    cpu.state.mxcsr = 0x3f80;
    cpu.run(...save);
    for (let i = 0; i < 16; i++) cpu.state.setXmm(i, 5n);
    cpu.state.mxcsr = 0x1f80;
    cpu.run(...XRSTOR);
    assertEquals([cpu.state.xmm(15), cpu.state.mxcsr], [46n << 70n, 0x3f80]);
  }
});

Deno.test("XSETBV takes x87 with or without SSE, at level 0, into XCR0 alone", () => {
  const cpu = enabled();
  cpu.set({ rcx: 0, rax: 1, rdx: 0 }).run(...XSETBV);
  cpu.set({ rax: 0 }).run(...XGETBV);
  assertEquals(cpu.state.get("rax"), 1n);
  for (const [rcx, rax, rdx] of [[0, 2, 0], [0, 0, 0], [0, 7, 0], [0, 3, 1], [1, 3, 0]]) {
    cpu.set({ rcx: rcx ?? 0, rax: rax ?? 0, rdx: rdx ?? 0 });
    assertEquals(cpu.fault(...XSETBV)[0], VECTOR.GP);
  }
  assertEquals(cpu.set({ rcx: 2 }).fault(...XGETBV)[0], VECTOR.GP);
});

Deno.test("CPUID tells whether the system has turned XSAVE on", () => {
  const cpu = enabled();
  const OSXSAVE = 1n << 27n;
  cpu.set({ rax: 1, rcx: 0 }).run(0x0f, 0xa2);
  assertEquals(cpu.state.get("rcx") & OSXSAVE, OSXSAVE);
  cpu.set({ cr4: 0x20, rax: 1, rcx: 0 }).run(0x0f, 0xa2);
  assertEquals(cpu.state.get("rcx") & OSXSAVE, 0n);
  assertEquals(cpuid(0xd, 0), [3, 576, 576, 0]);
});

Deno.test("RDRAND and RDSEED give numbers of every size, the same for the same seed, with CF set", () => {
  const numbers = [1, 2].map(() => {
    const cpu = longMode();
    cpu.run(0x48, 0x0f, 0xc7, 0xf0);
    cpu.set({ rbx: -1n & 0xffff_ffff_ffff_ffffn }).run(0x66, 0x0f, 0xc7, 0xfb);
    assertEquals(cpu.state.rflags & 0x8d5n, 1n);
    return [cpu.state.get("rax"), cpu.state.get("rbx")];
  });
  assertEquals(numbers[0], numbers[1]);
  assertNotEquals(numbers[0]?.[0], 0n);
  assertEquals((numbers[0]?.[1] ?? 0n) >> 16n, 0xffff_ffff_ffffn);
});

Deno.test("RDPID reads what WRMSR has put into TSC_AUX", () => {
  const cpu = longMode();
  cpu.set({ rcx: 0xc000_0103, rax: 77, rdx: 0 }).run(0x0f, 0x30);
  cpu.run(0xf3, 0x0f, 0xc7, 0xf9);
  assertEquals(cpu.state.get("rcx"), 77n);
});

Deno.test("RDPMC finds no counter, as leaf 0xA says", () => {
  assertEquals(cpuid(0xa, 0), [0, 0, 0, 0]);
  assertEquals(longMode().set({ rcx: 0 }).fault(0x0f, 0x33)[0], VECTOR.GP);
});

Deno.test("CLFLUSH, CLFLUSHOPT and CLWB fault where a load would, and change nothing", () => {
  for (const bytes of [[0x0f, 0xae, 0x3e], [0x66, 0x0f, 0xae, 0x3e], [0x66, 0x0f, 0xae, 0x36]]) {
    const cpu = longMode().poke64(AREA, 5).set({ rsi: AREA });
    cpu.run(...bytes);
    assertEquals(cpu.peek64(AREA), 5n);
    assertEquals(cpu.set({ rsi: 1n << 60n }).fault(...bytes)[0], VECTOR.GP);
  }
});

import { assertEquals } from "@std/assert";
import { CR4, RFLAGS, VECTOR } from "../base/registers.ts";
import { virtual8086Segment } from "./descriptors.ts";
import { protectedMode, TABLES, type TestCpu } from "./testing.ts";

const VIF = BigInt(RFLAGS.VIF), VM = BigInt(RFLAGS.VM), IF = BigInt(RFLAGS.IF);
const CLI = 0xfa, STI = 0xfb, PUSHF = 0x9c, POPF = 0x9d, INT = 0xcd;
/** Redirection bits in the TSS, below an I/O map that is beyond its limit. */
const REDIRECTION = 0x80;

/** Virtual-8086 mode at IOPL 0. */
function virtual8086(flags = 0): TestCpu {
  const cpu = protectedMode();
  cpu.state.setControl("cr4", BigInt(CR4.VME));
  for (const name of ["cs", "ss", "ds", "es", "fs", "gs"] as const) {
    cpu.state.setSegment(name, virtual8086Segment(0x100));
  }
  cpu.ram.setUint16(TABLES.tss + 0x66, REDIRECTION + 32, true);
  return cpu.set({ rflags: VM | BigInt(flags | 2), rip: 0x10, rsp: 0x800 });
}

Deno.test("CLI and STI change VIF when VME is on and IOPL too low", () => {
  const cpu = virtual8086();
  cpu.run(STI);
  assertEquals(cpu.state.rflags & (VIF | IF), VIF);
  cpu.run(CLI);
  assertEquals(cpu.state.rflags & (VIF | IF), 0n);
  assertEquals(virtual8086(RFLAGS.VIP).fault(STI), [VECTOR.GP, 0]);
  const without = virtual8086();
  without.state.setControl("cr4", 0n);
  assertEquals(without.fault(STI), [VECTOR.GP, 0]);
});

Deno.test("PUSHF shows VIF as IF, and IOPL 3; POPF loads it back", () => {
  const cpu = virtual8086(RFLAGS.VIF);
  cpu.run(PUSHF);
  assertEquals(cpu.peek16(0x1000 + 0x7fe), RFLAGS.IF | RFLAGS.IOPL | 2);
  cpu.run(CLI);
  cpu.run(POPF);
  assertEquals(cpu.state.rflags, VM | VIF | 2n);
  cpu.ram.setUint16(0x1000 + 0x800, RFLAGS.TF, true);
  assertEquals(cpu.fault(POPF), [VECTOR.GP, 0]);
  assertEquals(virtual8086().fault(0x66, PUSHF), [VECTOR.GP, 0]);
});

Deno.test("INT n goes to the 8086 program's own vector when its redirection bit is clear", () => {
  const cpu = virtual8086(RFLAGS.VIF);
  cpu.ram.setUint32(4 * 0x21, 0x0200_0034, true);
  cpu.run(INT, 0x21);
  const { state } = cpu;
  assertEquals([state.segment("cs").base, state.rip, state.get("rsp")], [0x2000n, 0x34n, 0x7fan]);
  assertEquals([0, 2, 4].map((i) => cpu.peek16(0x17fa + i)), [0x12, 0x100, 0x3202]);
  assertEquals(state.rflags, VM | 2n);
  const held = virtual8086();
  held.ram.setUint8(TABLES.tss + REDIRECTION + (0x21 >> 3), 1 << (0x21 & 7));
  assertEquals(held.fault(INT, 0x21), [VECTOR.GP, 0]);
});

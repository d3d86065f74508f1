import { assertEquals } from "@std/assert";
import { VECTOR } from "../../base/registers.ts";
import {
  descriptor,
  longMode,
  protectedMode,
  realMode,
  SELECTORS,
  TABLES,
  type TestCpu,
} from "../testing.ts";

Deno.test("MOV to a segment register changes selector and base only when in real mode", () => {
  const cpu = realMode().set({ rax: 0x1234 });
  cpu.state.setSegment("ds", { ...cpu.state.segment("ds"), limit: 0xffff_ffff });
  cpu.run(0x8e, 0xd8);
  assertEquals(cpu.state.segment("ds"), {
    selector: 0x1234,
    base: 0x12340n,
    limit: 0xffff_ffff,
    attributes: 0x93,
  });
});

Deno.test("MOV to SS and POP SS hold interrupts back for one instruction; LSS does not", () => {
  const cpu = protectedMode().set({ rax: SELECTORS.data0, rcx: 0x20000 });
  cpu.run(0x8e, 0xd0);
  assertEquals(cpu.state.interruptShadow, "mov-ss");
  cpu.run(0x8e, 0xd8);
  assertEquals(cpu.state.interruptShadow, false);
  cpu.physical.write(0x7000, 4, BigInt(SELECTORS.data0));
  cpu.run(0x17);
  assertEquals([cpu.state.interruptShadow, cpu.state.get("rsp")], ["mov-ss", 0x7004n]);
  cpu.poke(0x20000, [0x34, 0x12, 0, 0, SELECTORS.data0, 0]);
  cpu.run(0x0f, 0xb2, 0x21);
  assertEquals([cpu.state.interruptShadow, cpu.state.get("rsp")], [false, 0x1234n]);
});

Deno.test("MOV to a segment register faults when the descriptor forbids it, and changes nothing", () => {
  const user = () => protectedMode({ level: 3 });
  const toDs = [0x8e, 0xd8], toSs = [0x8e, 0xd0];
  const absent = (cpu: TestCpu) =>
    cpu.poke64(TABLES.gdt + SELECTORS.gate, descriptor(0, 0xfffff, 0xc013));
  const executeOnly = (cpu: TestCpu) =>
    cpu.poke64(TABLES.gdt + SELECTORS.gate, descriptor(0, 0xfffff, 0xc099));
  const gateSelector = SELECTORS.gate;
  const rows: [string, TestCpu, number[], number, number[]][] = [
    ["null SS", protectedMode(), toSs, 0, [VECTOR.GP, 0]],
    ["null SS in user mode", longMode({ level: 3 }), toSs, 3, [VECTOR.GP, 0]],
    ["code in SS", protectedMode(), toSs, SELECTORS.code0, [VECTOR.GP, SELECTORS.code0]],
    ["outer SS", protectedMode(), toSs, SELECTORS.data3, [VECTOR.GP, SELECTORS.data3 & ~3]],
    ["inner DS", user(), toDs, SELECTORS.data0, [VECTOR.GP, SELECTORS.data0]],
    ["system DS", protectedMode(), toDs, SELECTORS.tss, [VECTOR.GP, SELECTORS.tss]],
    ["absent DS", absent(protectedMode()), toDs, gateSelector, [VECTOR.NP, gateSelector]],
    ["absent SS", absent(protectedMode()), toSs, gateSelector, [VECTOR.SS, gateSelector]],
    ["execute-only DS", executeOnly(protectedMode()), toDs, gateSelector, [
      VECTOR.GP,
      gateSelector,
    ]],
    ["beyond the GDT", protectedMode(), toDs, 0x1000, [VECTOR.GP, 0x1000]],
    ["LDT that is not there", protectedMode(), toDs, 0xc, [VECTOR.GP, 0xc]],
  ];
  for (const [name, cpu, bytes, selector, fault] of rows) {
    cpu.set({ rax: selector });
    const before = cpu.state.snapshot();
    assertEquals(cpu.fault(...bytes), fault, name);
    assertEquals(cpu.state.snapshot(), before, name);
  }
});

Deno.test("MOV of a null selector is fine for data segments, and for SS in 64-bit kernel code", () => {
  const cpu = longMode().set({ rax: 0 });
  cpu.run(0x8e, 0xd8);
  cpu.run(0x8e, 0xd0);
  assertEquals([cpu.state.segment("ds").attributes, cpu.state.cpl], [0, 0]);
  const user = protectedMode({ level: 3 }).set({ rax: 3 });
  user.run(0x8e, 0xd8);
  assertEquals(user.fault(0x0f, 0x00, 0x00), [VECTOR.GP, 0], "a store through null DS");
});

Deno.test("MOV from a segment register clears the rest of a register, and writes 16 bits of memory", () => {
  const cpu = longMode().set({ rcx: -1n, rax: 0x20000 });
  cpu.run(0x8c, 0xc9);
  assertEquals(cpu.state.get("rcx"), BigInt(SELECTORS.code0));
  cpu.set({ rcx: -1n }).run(0x66, 0x8c, 0xc9);
  assertEquals(cpu.state.get("rcx"), 0xffff_ffff_ffff_0008n);
  cpu.poke64(0x20000, -1n).run(0x48, 0x8c, 0x08);
  assertEquals(cpu.peek64(0x20000), 0xffff_ffff_ffff_0008n);
});

Deno.test("PUSH and POP of segment registers move the operand size", () => {
  const rows: [string, () => TestCpu, number[], number[], bigint][] = [
    ["16-bit", realMode, [0x0e], [0x1f], 2n],
    ["32-bit in real mode", realMode, [0x66, 0x0e], [0x66, 0x1f], 4n],
    ["32-bit", protectedMode, [0x1e], [0x07], 4n],
    ["64-bit", longMode, [0x0f, 0xa0], [0x0f, 0xa9], 8n],
  ];
  for (const [name, make, pushes, pops, size] of rows) {
    const cpu = make();
    cpu.run(...pushes);
    assertEquals(cpu.state.get("rsp"), 0x7000n - size, name);
    cpu.run(...pops);
    assertEquals(cpu.state.get("rsp"), 0x7000n, name);
  }
});

Deno.test("LDS loads offset and selector", () => {
  const cpu = realMode().set({ rbx: 0x2000 }).poke(0x2000, [0x34, 0x12, 0x00, 0x50]);
  cpu.run(0xc5, 0x37);
  assertEquals([cpu.state.get("rsi"), cpu.state.segment("ds").base], [0x1234n, 0x50000n]);
});

Deno.test("memory operands fault when they leave the segment", () => {
  const small = (attributes: number, limit: number) => {
    const cpu = protectedMode();
    cpu.state.setSegment("ds", { selector: 8, base: 0n, limit, attributes });
    return cpu;
  };
  // SLDT [eax]: a store of two bytes.
  const rows: [string, TestCpu, number, boolean][] = [
    ["last byte within", small(0x4093, 0xff), 0xfe, true],
    ["last byte beyond", small(0x4093, 0xff), 0xff, false],
    ["read-only", small(0x4091, 0xff), 0, false],
    ["expand-down, below", small(0x4097, 0xff), 0xff, false],
    ["expand-down, above", small(0x4097, 0xff), 0x100, true],
    ["expand-down, 16-bit end", small(0x0097, 0xff), 0xffff, false],
  ];
  for (const [name, cpu, rax, fits] of rows) {
    cpu.set({ rax });
    if (fits) cpu.run(0x0f, 0x00, 0x00);
    else assertEquals(cpu.fault(0x0f, 0x00, 0x00), [VECTOR.GP, 0], name);
  }
  const real = realMode().set({ rbx: 0xffff });
  assertEquals(real.fault(0x0f, 0x01, 0x27), [VECTOR.GP, 0], "SMSW across the end in real mode");
  const stack = longMode().set({ rbp: 1n << 47n });
  assertEquals(stack.fault(0x0f, 0x01, 0x65, 0), [VECTOR.SS, 0], "non-canonical through SS");
});

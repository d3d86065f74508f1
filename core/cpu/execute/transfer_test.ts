import { assertEquals } from "@std/assert";
import { RFLAGS, VECTOR } from "../../base/registers.ts";
import {
  descriptor,
  gate,
  longMode,
  protectedMode,
  realMode,
  SELECTORS,
  TABLES,
  type TestCpu,
} from "../testing.ts";

const IF = BigInt(RFLAGS.IF), IOPL = BigInt(RFLAGS.IOPL);

/** Puts values on the stack, the first on top. */
function push(cpu: TestCpu, size: 2 | 4 | 8, ...values: (number | bigint)[]): TestCpu {
  const sp = cpu.state.get("rsp") - BigInt(size * values.length);
  cpu.state.set("rsp", sp);
  for (const [i, value] of values.entries()) {
    cpu.physical.write(Number(sp) + i * size, size, BigInt.asUintN(8 * size, BigInt(value)));
  }
  return cpu;
}

/** CS:RIP, SS:RSP and the level. */
function place(cpu: TestCpu) {
  const { state } = cpu;
  return [
    state.segment("cs").selector,
    state.rip,
    state.segment("ss").selector,
    state.get("rsp"),
    state.cpl,
  ];
}

Deno.test("JMP far loads CS and IP when in real mode", () => {
  const cpu = realMode();
  cpu.run(0xea, 0x34, 0x12, 0x00, 0xf0);
  assertEquals([cpu.state.segment("cs").base, cpu.state.rip], [0xf0000n, 0x1234n]);
});

Deno.test("JMP far enters 64-bit code when its segment says so", () => {
  const cpu = longMode();
  cpu.state.setSegment("cs", { ...cpu.state.segment("cs"), attributes: 0xc09b });
  assertEquals(cpu.state.bitness, 32);
  cpu.run(0xea, 0x00, 0x20, 0, 0, SELECTORS.code0, 0);
  assertEquals([cpu.state.bitness, cpu.state.rip], [64, 0x2000n]);
});

Deno.test("CALL far pushes CS and IP, and RETF takes them back", () => {
  const cpu = protectedMode();
  cpu.run(0x9a, 0x00, 0x20, 0, 0, SELECTORS.other0, 0);
  assertEquals(place(cpu), [SELECTORS.other0, 0x2000n, SELECTORS.data0, 0x6ff8n, 0]);
  assertEquals(cpu.state.bitness, 16);
  cpu.run(0x66, 0xca, 4, 0);
  assertEquals(place(cpu), [SELECTORS.code0, 0x1007n, SELECTORS.data0, 0x7004n, 0]);
});

Deno.test("JMP far through memory takes 16, 32 or 64 bits of offset", () => {
  const rows: [number[], number[], bigint][] = [
    [[0x66, 0xff, 0x28], [0x34, 0x12, SELECTORS.code0, 0], 0x1234n],
    [[0xff, 0x28], [0x78, 0x56, 0x34, 0x12, SELECTORS.code0, 0], 0x1234_5678n],
    [
      [0x48, 0xff, 0x28],
      [0x78, 0x56, 0x34, 0x12, 0, 0x80, 0xff, 0xff, SELECTORS.code0, 0],
      0xffff_8000_1234_5678n,
    ],
  ];
  for (const [bytes, pointer, rip] of rows) {
    const cpu = longMode().set({ rax: 0x20000 }).poke(0x20000, pointer);
    cpu.run(...bytes);
    assertEquals(cpu.state.rip, rip);
  }
});

Deno.test("JMP far faults when the segment is not one to jump to", () => {
  const rows: [string, () => TestCpu, number, number[]][] = [
    ["null", protectedMode, 0, [VECTOR.GP, 0]],
    ["data", protectedMode, SELECTORS.data0, [VECTOR.GP, SELECTORS.data0]],
    ["absent", protectedMode, SELECTORS.absent0, [VECTOR.NP, SELECTORS.absent0]],
    ["outer", protectedMode, SELECTORS.code3, [VECTOR.GP, SELECTORS.code3 & ~3]],
    ["inner", () => protectedMode({ level: 3 }), SELECTORS.code0, [VECTOR.GP, SELECTORS.code0]],
    ["beyond the table", protectedMode, 0x100, [VECTOR.GP, 0x100]],
  ];
  for (const [name, make, selector, fault] of rows) {
    const cpu = make();
    const before = cpu.state.snapshot();
    const bytes = [0xea, 0, 0x20, 0, 0, selector & 0xff, selector >> 8];
    assertEquals(cpu.fault(...bytes), fault, name);
    assertEquals(cpu.state.snapshot(), before, name);
  }
});

Deno.test("JMP far keeps the level when the code is conforming", () => {
  const cpu = protectedMode({ level: 3 });
  cpu.run(0xea, 0, 0x20, 0, 0, SELECTORS.conforming0, 0);
  assertEquals([cpu.state.segment("cs").selector, cpu.state.cpl], [SELECTORS.conforming0 | 3, 3]);
});

Deno.test("CALL far through a gate switches stacks and copies parameters when the level changes", () => {
  const cpu = protectedMode({ level: 3 });
  cpu.poke64(TABLES.gdt + SELECTORS.gate, gate(SELECTORS.code0, 0x2345, 0xec, 2));
  push(cpu, 4, 0x11, 0x22);
  cpu.run(0x9a, 0, 0, 0, 0, SELECTORS.gate, 0);
  assertEquals(place(cpu), [SELECTORS.code0, 0x2345n, SELECTORS.data0, 0x6000n - 24n, 0]);
  const frame = [0, 1, 2, 3, 4, 5].map((i) => cpu.peek32(0x6000 - 24 + 4 * i));
  assertEquals(frame, [0x1007, SELECTORS.code3, 0x11, 0x22, 0x6ff8, SELECTORS.data3]);
  cpu.run(0xca, 8, 0);
  assertEquals(place(cpu), [SELECTORS.code3, 0x1007n, SELECTORS.data3, 0x7000n, 3]);
});

Deno.test("CALL far through a gate takes RSP0 and pushes quadwords when in long mode", () => {
  const cpu = longMode({ level: 3 }).set({ rax: 0x20000 });
  cpu.poke64(TABLES.gdt + SELECTORS.gate, gate(SELECTORS.code0, 0x2345, 0xec), 1n);
  cpu.poke(0x20000, [0, 0, 0, 0, SELECTORS.gate, 0]);
  cpu.run(0xff, 0x18);
  assertEquals(place(cpu), [SELECTORS.code0, 0x1_0000_2345n, 0, 0x6000n - 32n, 0]);
  assertEquals(cpu.peek64(0x6000 - 32), 0x1002n);
});

Deno.test("CALL far faults when the caller may not use the gate", () => {
  const cpu = protectedMode({ level: 3 });
  cpu.poke64(TABLES.gdt + SELECTORS.gate, gate(SELECTORS.code0, 0x2345, 0x8c));
  assertEquals(cpu.fault(0x9a, 0, 0, 0, 0, SELECTORS.gate, 0), [VECTOR.GP, SELECTORS.gate]);
});

Deno.test("IRET restores IP, CS and FLAGS when in real mode", () => {
  const cpu = push(realMode(), 2, 0x1234, 0x100, 0xf202);
  cpu.run(0xcf);
  assertEquals([cpu.state.rip, cpu.state.segment("cs").base], [0x1234n, 0x1000n]);
  assertEquals([cpu.state.rflags, cpu.state.get("rsp")], [0x7202n, 0x7000n]);
  assertEquals(cpu.counts, { iret: 1 });
});

Deno.test("IRETD returns to the same level without touching SS when in protected mode", () => {
  const cpu = push(protectedMode(), 4, 0x2222, SELECTORS.code0, IF | 2n);
  cpu.run(0xcf);
  assertEquals(place(cpu), [SELECTORS.code0, 0x2222n, SELECTORS.data0, 0x7000n, 0]);
  assertEquals(cpu.state.rflags, IF | 2n);
});

Deno.test("IRETD returns to an outer level and drops data segments that it may not use", () => {
  const cpu = push(
    protectedMode(),
    4,
    0x2222,
    SELECTORS.code3,
    IF | IOPL | 2n,
    0x7777,
    SELECTORS.data3,
  );
  cpu.set({ rax: SELECTORS.data3 }).run(0x8e, 0xc0);
  cpu.run(0xcf);
  assertEquals(place(cpu), [SELECTORS.code3, 0x2222n, SELECTORS.data3, 0x7777n, 3]);
  assertEquals(cpu.state.rflags, IF | IOPL | 2n, "loaded with the rights of level 0");
  assertEquals(cpu.state.segment("ds").selector, 0);
  assertEquals(cpu.state.segment("es").selector, SELECTORS.data3);
});

Deno.test("IRETQ pops SS and RSP also when the level stays", () => {
  const cpu = push(longMode(), 8, 0x2222, SELECTORS.code0, 2, 0x7f8, 0);
  cpu.run(0x48, 0xcf);
  assertEquals(place(cpu), [SELECTORS.code0, 0x2222n, 0, 0x7f8n, 0]);
});

Deno.test("IRETQ ignores IF and IOPL when the program may not change them", () => {
  const cpu = push(
    longMode({ level: 3 }),
    8,
    0x2222,
    SELECTORS.code3,
    IF | IOPL | 3n,
    0x7f8,
    SELECTORS.data3,
  );
  cpu.run(0x48, 0xcf);
  assertEquals(cpu.state.rflags, 3n);
});

Deno.test("IRET faults when the frame is not one to return to", () => {
  const rows: [string, () => TestCpu, (number | bigint)[], number[]][] = [
    ["null CS", longMode, [0, 0, 2, 0x7000, 0], [VECTOR.GP, 0]],
    ["data CS", longMode, [0, SELECTORS.data0, 2, 0x7000, 0], [VECTOR.GP, SELECTORS.data0]],
    ["absent CS", longMode, [0, SELECTORS.absent0, 2, 0x7000, 0], [VECTOR.NP, SELECTORS.absent0]],
    [
      "inner CS",
      () => longMode({ level: 3 }),
      [0, SELECTORS.code0, 2, 0x7000, SELECTORS.data0],
      [VECTOR.GP, SELECTORS.code0],
    ],
    ["null SS at level 3", longMode, [0, SELECTORS.code3, 2, 0x7000, 3], [VECTOR.GP, 0]],
    [
      "SS of another level",
      longMode,
      [0, SELECTORS.code3, 2, 0x7000, SELECTORS.data0],
      [VECTOR.GP, SELECTORS.data0],
    ],
    [
      "RIP not canonical",
      longMode,
      [1n << 47n, SELECTORS.code0, 2, 0x7000, 0],
      [VECTOR.GP, 0],
    ],
  ];
  for (const [name, make, frame, fault] of rows) {
    const cpu = push(make(), 8, ...frame);
    const before = cpu.state.snapshot();
    assertEquals(cpu.fault(0x48, 0xcf), fault, name);
    assertEquals(cpu.state.snapshot(), before, name);
  }
  const nested = push(protectedMode(), 4, 0, SELECTORS.code0, 2).set({ rflags: RFLAGS.NT | 2 });
  assertEquals(nested.fault(0xcf), [VECTOR.TS, 0], "NT");
  const long = push(longMode(), 8, 0, SELECTORS.code0, 2, 0, 0).set({ rflags: RFLAGS.NT | 2 });
  assertEquals(long.fault(0x48, 0xcf), [VECTOR.GP, 0], "NT in long mode");
});

Deno.test("IRETD enters virtual-8086 mode when VM is set in the image", () => {
  const cpu = push(protectedMode(), 4, 0x10, 0x200, RFLAGS.VM | 2, 0x100, 0x300, 1, 2, 3, 4);
  cpu.run(0xcf);
  assertEquals(place(cpu), [0x200, 0x10n, 0x300, 0x100n, 3]);
  assertEquals(cpu.state.segment("gs").base, 0x40n);
  assertEquals(cpu.state.bitness, 16);
  assertEquals(cpu.fault(0x9c), [VECTOR.GP, 0], "PUSHF with IOPL 0");
});

Deno.test("INT n goes through the IDT and returns after itself", () => {
  const cpu = longMode();
  cpu.poke64(TABLES.idt + 16 * 0x80, gate(SELECTORS.code0, 0x2000, 0x8e));
  cpu.run(0xcd, 0x80);
  assertEquals(cpu.state.rip, 0x2000n);
  assertEquals(cpu.peek64(0x7000 - 40), 0x1002n);
  assertEquals(cpu.counts, { "software-interrupt": 1 });
});

Deno.test("INT n faults at itself when its gate is missing", () => {
  const cpu = longMode();
  const before = cpu.state.snapshot();
  assertEquals(cpu.fault(0xcd, 0x80), [VECTOR.GP, 0x80 * 8 + 2]);
  assertEquals(cpu.state.snapshot(), before);
});

Deno.test("INTO interrupts when OF is set, and else does nothing", () => {
  const cpu = protectedMode();
  cpu.poke64(TABLES.idt + 8 * 4, gate(SELECTORS.code0, 0x2000, 0x8e));
  cpu.run(0xce);
  assertEquals(cpu.state.rip, 0x1001n);
  cpu.set({ rflags: RFLAGS.OF | 2 }).run(0xce);
  assertEquals(cpu.state.rip, 0x2000n);
});

Deno.test("UD2, VMCALL and invalid bytes raise #UD", () => {
  for (const bytes of [[0x0f, 0x0b], [0x0f, 0x01, 0xc1], [0x0f, 0x01, 0xd9], [0x06]]) {
    assertEquals(longMode().fault(...bytes), [VECTOR.UD]);
  }
});

Deno.test("BOUND raises #BR when the index is outside, compared as signed", () => {
  const rows: [number, boolean][] = [[-3, false], [-2, true], [0, true], [5, true], [6, false]];
  for (const [index, inside] of rows) {
    const cpu = protectedMode().set({ rax: BigInt.asUintN(32, BigInt(index)), rcx: 0x20000 });
    cpu.poke(0x20000, [0xfe, 0xff, 0xff, 0xff, 5, 0, 0, 0]);
    if (inside) cpu.run(0x62, 0x01);
    else assertEquals(cpu.fault(0x62, 0x01), [VECTOR.BR], String(index));
  }
});

Deno.test("segment() parses bases, limits and granularity of descriptors", () => {
  const cpu = protectedMode();
  cpu.poke64(TABLES.gdt + SELECTORS.gate, descriptor(0x12345678, 0x1ff, 0x4092));
  cpu.set({ rax: SELECTORS.gate }).run(0x8e, 0xc0);
  assertEquals(cpu.state.segment("es"), {
    selector: SELECTORS.gate,
    base: 0x12345678n,
    limit: 0x1ff,
    attributes: 0x4093,
  });
  assertEquals(cpu.ram.getUint8(TABLES.gdt + SELECTORS.gate + 5), 0x93, "marked accessed");
});

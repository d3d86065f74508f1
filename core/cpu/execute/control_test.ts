import { assertEquals } from "@std/assert";
import { CR0, CR4, EFER, VECTOR } from "../../base/registers.ts";
import { CR4_SUPPORTED } from "../control_registers.ts";
import { cpuid } from "../cpuid.ts";
import { longMode, protectedMode, realMode, SELECTORS, TABLES, type TestCpu } from "../testing.ts";

const PG = BigInt(CR0.PG);
const GP0 = [VECTOR.GP, 0];
const toCr = (n: number) => [0x0f, 0x22, 0xc0 | (n << 3)];

function withPcids(): TestCpu {
  const cpu = longMode();
  cpu.state.setControl("cr4", BigInt(CR4.PAE | CR4.PCIDE));
  return cpu;
}

Deno.test("MOV to CR writes what it is given, counts it and drops translations when paging changes", () => {
  const cpu = longMode();
  cpu.set({ rax: 0x9000 }).run(...toCr(3));
  assertEquals([cpu.state.control("cr3"), cpu.flushed], [0x9000n, ["context"]]);
  cpu.set({ rax: 0xffff_8000_0000_0000n }).run(...toCr(2));
  assertEquals(cpu.state.control("cr2"), 0xffff_8000_0000_0000n);
  cpu.set({ rax: 7 }).run(0x44, 0x0f, 0x22, 0xc0);
  assertEquals(cpu.state.control("cr8"), 7n);
  cpu.set({ rax: CR4.PAE | CR4.PGE | CR4.SMEP }).run(...toCr(4));
  assertEquals(cpu.state.control("cr4"), BigInt(CR4.PAE | CR4.PGE | CR4.SMEP));
  assertEquals(cpu.counts, { "cr-write": 4, "tlb-flush": 2 });
});

Deno.test("MOV from CR reads the whole register when in long mode", () => {
  const cpu = longMode();
  cpu.run(0x0f, 0x20, 0xc1);
  assertEquals(cpu.state.get("rcx"), cpu.state.control("cr0"));
});

Deno.test("MOV to CR faults when the value is one that the register can't hold", () => {
  const rows: [string, () => TestCpu, number[], bigint][] = [
    ["paging without protection", longMode, toCr(0), PG],
    ["NW without CD", longMode, toCr(0), PG | 1n | BigInt(CR0.NW)],
    ["upper half of CR0", longMode, toCr(0), (1n << 32n) | PG | 1n],
    ["paging off in 64-bit code", longMode, toCr(0), 1n],
    ["PAE off in long mode", longMode, toCr(4), 0n],
    ["an unknown bit of CR4", longMode, toCr(4), BigInt(CR4.PAE) | (1n << 30n)],
    ["CR3 beyond 40 bits", longMode, toCr(3), 1n << 40n],
    ["CR3 with bit 63, without PCIDs", longMode, toCr(3), 1n << 63n],
    ["LA57 changed in long mode", longMode, toCr(4), BigInt(CR4.PAE | CR4.LA57)],
    ["PCIDs outside of long mode", protectedMode, toCr(4), BigInt(CR4.PCIDE)],
    [
      "PCIDs while CR3 has low bits",
      () => {
        const cpu = longMode();
        cpu.state.setControl("cr3", BigInt(TABLES.pages + 1));
        return cpu;
      },
      toCr(4),
      BigInt(CR4.PAE | CR4.PCIDE),
    ],
    [
      "paging off with PCIDs, in compatibility mode",
      () => {
        const cpu = withPcids();
        const cs = cpu.state.segment("cs");
        cpu.state.setSegment("cs", { ...cs, attributes: 0xc09b });
        return cpu;
      },
      toCr(0),
      1n,
    ],
    [
      "long mode with a 16-bit TSS",
      () => {
        const cpu = protectedMode();
        cpu.state.setControl("efer", BigInt(EFER.LME));
        cpu.state.setControl("cr4", BigInt(CR4.PAE));
        cpu.state.setSegment("tr", { ...cpu.state.segment("tr"), attributes: 0x83 });
        return cpu;
      },
      toCr(0),
      PG | 1n,
    ],
    [
      "PAE with a reserved bit in a pointer",
      () => {
        const cpu = protectedMode().poke64(0, 0n, 0n, 0n, 3n);
        cpu.state.setControl("cr4", BigInt(CR4.PAE));
        return cpu;
      },
      toCr(0),
      PG | 1n,
    ],
    ["CR8 above 15", longMode, [0x44, 0x0f, 0x22, 0xc0], 16n],
    [
      "long mode without PAE",
      () => {
        const cpu = protectedMode();
        cpu.state.setControl("efer", BigInt(EFER.LME));
        return cpu;
      },
      toCr(0),
      PG | 1n,
    ],
  ];
  for (const [name, make, bytes, value] of rows) {
    const cpu = make().set({ rax: value });
    const before = cpu.state.snapshot();
    assertEquals(cpu.fault(...bytes), GP0, name);
    assertEquals(cpu.state.snapshot(), before, name);
  }
});

Deno.test("MOV to CR0 switches long mode on and off when EFER.LME is set", () => {
  const cpu = protectedMode().set({ rax: PG | 1n });
  cpu.state.setControl("cr4", BigInt(CR4.PAE));
  cpu.state.setControl("efer", BigInt(EFER.LME));
  cpu.run(...toCr(0));
  assertEquals(cpu.state.control("efer"), BigInt(EFER.LME | EFER.LMA));
  assertEquals(cpu.state.bitness, 32, "compatibility mode until a far jump");
  cpu.state.setGpr(0, 1n);
  cpu.run(...toCr(0));
  assertEquals(cpu.state.control("efer"), BigInt(EFER.LME));
});

Deno.test("LMSW sets the low four bits and never clears PE; CLTS clears TS; SMSW reads", () => {
  const cpu = realMode().set({ rbx: 0xfff9 });
  cpu.run(0x0f, 0x01, 0xf3);
  assertEquals(cpu.state.control("cr0") & 0xfn, 9n);
  cpu.set({ rbx: 0 }).run(0x0f, 0x01, 0xf3);
  assertEquals(cpu.state.control("cr0") & 0xfn, 1n);
  cpu.state.setControl("cr0", cpu.state.control("cr0") | BigInt(CR0.TS));
  cpu.run(0x0f, 0x06);
  assertEquals(cpu.state.control("cr0") & 0xfn, 1n);
  cpu.set({ rcx: 0xaaaa_aaaa }).run(0x0f, 0x01, 0xe1);
  assertEquals(cpu.state.get("rcx"), 0xaaaa_0011n);
});

Deno.test("MOV to CR3 loads PAE's pointers, and drops a context or, with bit 63, none", () => {
  const pae = protectedMode().set({ rax: 0x9020 }).poke64(0x9020, 0x1001n, 0n, 2n, 0x3001n);
  pae.state.setControl("cr4", BigInt(CR4.PAE));
  pae.state.setControl("cr0", PG | 1n);
  pae.run(...toCr(3));
  assertEquals(pae.state.pagePointers, [0x1001n, 0n, 2n, 0x3001n]);
  pae.set({ rax: 0x20_0000 }).poke64(0x9020, 0n).fault(...toCr(3));
  assertEquals(pae.state.pagePointers[0], 0x1001n, "beyond RAM all bits are set, which is refused");

  const cpu = withPcids();
  cpu.set({ rax: BigInt(TABLES.pages + 5) }).run(...toCr(3));
  cpu.set({ rax: BigInt(TABLES.pages + 6) | 1n << 63n }).run(...toCr(3));
  assertEquals(cpu.flushed, ["context", "rights"]);
  assertEquals(cpu.state.control("cr3"), BigInt(TABLES.pages + 6));
});

Deno.test("INVPCID drops what its type says, and faults when it says nothing", () => {
  const invpcid = [0x66, 0x0f, 0x38, 0x82, 0x03]; // invpcid rax, [rbx]
  const made = (type: bigint, pcid: bigint, address: bigint, cpu = withPcids()) =>
    cpu.set({ rax: type, rbx: 0x20000 }).poke64(0x20000, pcid, address);
  const good: [bigint, bigint, bigint, bigint | string][] = [
    [0n, 7n, 0x1234n, 0x1000n],
    [0n, 7n, 0x80_0000_0000_0000n, 0x80_0000_0000_0000n],
    [1n, 7n, 1n << 60n, "context"],
    [2n, 0xfffn, 1n << 60n, "everything"],
    [3n, 0n, 0n, "contexts"],
  ];
  for (const [type, pcid, address, flushed] of good) {
    const cpu = made(type, pcid, address);
    cpu.run(...invpcid);
    assertEquals(cpu.flushed, [flushed]);
  }
  const bad: [bigint, bigint, bigint][] = [
    [4n, 0n, 0n],
    [1n << 32n, 0n, 0n],
    [2n, 0x1000n, 0n],
    [0n, 0n, 1n << 60n],
  ];
  for (const [type, pcid, address] of bad) {
    assertEquals(made(type, pcid, address).fault(...invpcid), GP0, `${type} ${pcid} ${address}`);
  }
  assertEquals(made(1n, 1n, 0n, longMode()).fault(...invpcid), GP0, "a PCID, and CR4.PCIDE clear");
  assertEquals(made(1n, 0n, 0n, longMode({ level: 3 })).fault(...invpcid), GP0, "user mode");
});

Deno.test("INVLPG drops one page", () => {
  const cpu = longMode().set({ rax: 0xffff_8000_0000_1234n });
  cpu.run(0x0f, 0x01, 0x38);
  assertEquals([cpu.flushed, cpu.counts], [[0xffff_8000_0000_1000n], { "tlb-flush": 1 }]);
});

Deno.test("MOV DR keeps fixed bits, and takes DR4 for DR6 unless CR4.DE is set", () => {
  const cpu = longMode().set({ rax: 0xffff_ffff });
  cpu.run(0x0f, 0x23, 0xf8);
  assertEquals(cpu.state.debug(7), 0xffff_27ffn);
  assertEquals(cpu.fault(0x0f, 0x21, 0xf8), [VECTOR.DB], "general detect");
  assertEquals([cpu.state.debug(6), cpu.state.debug(7)], [0xffff_2ff0n, 0xffff_07ffn]);
  cpu.set({ rax: 0 }).run(0x0f, 0x23, 0xe0);
  assertEquals(cpu.state.debug(6), 0xffff_0ff0n);
  assertEquals(cpu.set({ rax: 1n << 32n }).fault(0x0f, 0x23, 0xf8), GP0);
  cpu.state.setControl("cr4", BigInt(CR4.PAE | CR4.DE));
  assertEquals(cpu.fault(0x0f, 0x23, 0xe0), [VECTOR.UD]);
});

Deno.test("LGDT and SGDT agree, and a 16-bit operand loads 24 bits of base", () => {
  const cpu = longMode().set({ rax: 0x20000 });
  cpu.poke(0x20000, [0x34, 0x12, 1, 2, 3, 4, 0, 0x80, 0xff, 0xff]);
  cpu.run(0x0f, 0x01, 0x10);
  assertEquals(cpu.state.gdtr, { base: 0xffff_8000_0403_0201n, limit: 0x1234 });
  cpu.set({ rax: 0x20100 }).run(0x0f, 0x01, 0x00);
  assertEquals(cpu.memory.read(0x20100n, 10), 0xffff_8000_0403_0201_1234n);

  const old = realMode().set({ rbx: 0x4000 }).poke(0x4000, [0xff, 0x03, 1, 2, 3, 4]);
  old.run(0x0f, 0x01, 0x1f);
  assertEquals(old.state.idtr, { base: 0x03_0201n, limit: 0x3ff });
  old.run(0x66, 0x0f, 0x01, 0x1f);
  assertEquals(old.state.idtr.base, 0x0403_0201n);
});

Deno.test("LGDT faults when the base is not canonical", () => {
  const cpu = longMode().set({ rax: 0x20000 }).poke(0x20000, [0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
  assertEquals(cpu.fault(0x0f, 0x01, 0x10), GP0);
});

Deno.test("LTR marks the TSS busy and refuses a busy one", () => {
  const cpu = longMode().set({ rax: SELECTORS.tss });
  cpu.run(0x0f, 0x00, 0xd8);
  assertEquals(cpu.state.segment("tr"), {
    selector: SELECTORS.tss,
    base: BigInt(TABLES.tss),
    limit: 0xfff,
    attributes: 0x8b,
  });
  assertEquals(cpu.ram.getUint8(TABLES.gdt + SELECTORS.tss + 5), 0x8b);
  assertEquals(cpu.fault(0x0f, 0x00, 0xd8), [VECTOR.GP, SELECTORS.tss]);
  cpu.set({ rcx: -1n }).run(0x0f, 0x00, 0xc9);
  assertEquals(cpu.state.get("rcx"), BigInt(SELECTORS.tss), "STR r32 clears the upper half");
});

Deno.test("LLDT loads a table that selectors with TI name, and null takes it away", () => {
  const cpu = protectedMode().set({ rax: SELECTORS.ldt });
  cpu.run(0x0f, 0x00, 0xd0);
  assertEquals(cpu.state.segment("ldtr").base, BigInt(TABLES.ldt));
  cpu.poke64(TABLES.ldt + 8, cpu.peek64(TABLES.gdt + SELECTORS.data0));
  cpu.set({ rax: 0xc }).run(0x8e, 0xd8);
  assertEquals(cpu.state.segment("ds").selector, 0xc);
  cpu.set({ rax: 0 }).run(0x0f, 0x00, 0xd0);
  assertEquals(cpu.set({ rax: 0xc }).fault(0x8e, 0xd8), [VECTOR.GP, 0xc]);
});

Deno.test("LAR, LSL, VERR and VERW answer with ZF", () => {
  const cpu = protectedMode({ level: 3 });
  const zf = () => (cpu.state.rflags >> 6n) & 1n;
  const rows: [string, number[], number, bigint, bigint | undefined][] = [
    ["lar of own code", [0x0f, 0x02, 0xc1], SELECTORS.code3, 1n, 0xcf_fb00n],
    ["lar of inner data", [0x0f, 0x02, 0xc1], SELECTORS.data0, 0n, undefined],
    ["lar of conforming code", [0x0f, 0x02, 0xc1], SELECTORS.conforming0, 1n, 0xcf_9f00n],
    ["lar of null", [0x0f, 0x02, 0xc1], 0, 0n, undefined],
    ["lar beyond the table", [0x0f, 0x02, 0xc1], 0x100, 0n, undefined],
    ["lsl of own data", [0x0f, 0x03, 0xc1], SELECTORS.data3, 1n, 0xffff_ffffn],
    ["verr of own code", [0x0f, 0x00, 0xe1], SELECTORS.code3, 1n, undefined],
    ["verw of own code", [0x0f, 0x00, 0xe9], SELECTORS.code3, 0n, undefined],
    ["verw of own data", [0x0f, 0x00, 0xe9], SELECTORS.data3, 1n, undefined],
    ["verr of the TSS", [0x0f, 0x00, 0xe1], SELECTORS.tss, 0n, undefined],
  ];
  for (const [name, bytes, selector, flag, value] of rows) {
    cpu.set({ rax: 0x5555, rcx: selector }).run(...bytes);
    assertEquals([zf(), cpu.state.get("rax")], [flag, value ?? 0x5555n], name);
  }
});

Deno.test("CR4 can hold what CPUID reports and no more", () => {
  const [, , features, edx] = cpuid(1, 0);
  const [, ebx, ecx] = cpuid(7, 0);
  const reported: [number, number, number][] = [
    [CR4.TSD, edx, 4],
    [CR4.DE, edx, 2],
    [CR4.PSE, edx, 3],
    [CR4.PAE, edx, 6],
    [CR4.MCE, edx, 7],
    [CR4.PGE, edx, 13],
    [CR4.OSFXSR, edx, 24],
    [CR4.OSXMMEXCPT, edx, 25],
    [CR4.FSGSBASE, ebx, 0],
    [CR4.SMEP, ebx, 7],
    [CR4.SMAP, ebx, 20],
    [CR4.UMIP, ecx, 2],
    [CR4.PCIDE, features, 17],
    [CR4.LA57, ecx, 16],
  ];
  for (const [bit, register, index] of reported) {
    const supported = (CR4_SUPPORTED & BigInt(bit)) !== 0n;
    assertEquals(supported, ((register >>> index) & 1) === 1, bit.toString(16));
  }
});

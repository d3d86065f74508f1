import { assertEquals } from "@std/assert";
import { RFLAGS, VECTOR } from "../base/registers.ts";
import { deliver, type DeliverableEvent, escalate } from "./deliver.ts";
import { GuestFault } from "./fault.ts";
import {
  caught,
  gate,
  longMode,
  protectedMode,
  realMode,
  SELECTORS,
  TABLES,
  type TestCpu,
} from "./testing.ts";

const IF = BigInt(RFLAGS.IF), TF = BigInt(RFLAGS.TF), RF = BigInt(RFLAGS.RF);

const external = (vector: number): DeliverableEvent => ({ type: "external-interrupt", vector });
const exception = (vector: number, errorCode?: number): DeliverableEvent => ({
  type: "exception",
  vector,
  ...(errorCode !== undefined && { errorCode }),
});
const software = (vector: number): DeliverableEvent => ({ type: "software-interrupt", vector });

/** Puts a gate into the IDT: 8 bytes, or 16 in long mode. */
function withGate(cpu: TestCpu, vector: number, raw: bigint): TestCpu {
  const long = cpu.state.bitness === 64;
  return cpu.poke64(TABLES.idt + vector * (long ? 16 : 8), raw);
}

/** Quadwords or doublewords on the stack, from its top. */
function stack(cpu: TestCpu, size: 2 | 4 | 8, count: number): bigint[] {
  const sp = Number(cpu.state.get("rsp"));
  return Array.from({ length: count }, (_, i) => cpu.physical.read(sp + i * size, size));
}

const INTERRUPT = 0x8e, TRAP = 0x8f, USER_TRAP = 0xef;

Deno.test("deliver() pushes IP, CS and FLAGS when in real mode", () => {
  const cpu = realMode().set({ rflags: 0x202, rip: 0x1234 });
  cpu.poke(0x21 * 4, [0x00, 0x20, 0x00, 0x05]);
  cpu.state.setSegment("cs", { ...cpu.state.segment("cs"), selector: 0x100, base: 0x1000n });
  deliver(cpu, external(0x21));
  assertEquals(cpu.state.rip, 0x2000n);
  assertEquals(cpu.state.segment("cs").base, 0x5000n);
  assertEquals(stack(cpu, 2, 3), [0x1234n, 0x100n, 0x202n]);
  assertEquals(cpu.state.rflags, 2n);
  assertEquals(cpu.counts, { interrupt: 1 });
});

Deno.test("deliver() pushes no error code when in real mode", () => {
  const cpu = realMode();
  deliver(cpu, exception(VECTOR.GP, 0));
  assertEquals(cpu.state.get("rsp"), 0x7000n - 6n);
});

Deno.test("deliver() pushes three doublewords and the error code when in protected mode", () => {
  const cpu = withGate(protectedMode(), 13, gate(SELECTORS.code0, 0x12345, INTERRUPT));
  cpu.set({ rflags: IF | TF | 2n });
  deliver(cpu, exception(13, 0x18));
  assertEquals(stack(cpu, 4, 4), [0x18n, 0x1000n, BigInt(SELECTORS.code0), IF | TF | RF | 2n]);
  assertEquals(cpu.state.rip, 0x12345n);
  assertEquals(cpu.state.rflags, 2n);
});

Deno.test("deliver() leaves IF set when the gate is a trap gate", () => {
  const cpu = withGate(protectedMode(), 3, gate(SELECTORS.code0, 0x2000, TRAP));
  cpu.set({ rflags: IF | 2n });
  deliver(cpu, software(3));
  assertEquals(cpu.state.rflags, IF | 2n);
  assertEquals(stack(cpu, 4, 3)[2], IF | 2n, "a software interrupt shows no RF");
});

Deno.test("deliver() switches to the TSS's stack when protected mode enters an inner level", () => {
  const cpu = withGate(protectedMode({ level: 3 }), 0x80, gate(SELECTORS.code0, 0x2000, USER_TRAP));
  cpu.set({ rsp: 0x7abc });
  deliver(cpu, software(0x80));
  assertEquals(cpu.state.cpl, 0);
  assertEquals(cpu.state.segment("ss").selector, SELECTORS.data0);
  assertEquals(cpu.state.get("rsp"), 0x6000n - 20n);
  assertEquals(stack(cpu, 4, 5), [
    0x1000n,
    BigInt(SELECTORS.code3),
    2n,
    0x7abcn,
    BigInt(SELECTORS.data3),
  ]);
});

Deno.test("deliver() pushes words when the gate is a 16-bit one", () => {
  const cpu = withGate(protectedMode(), 0x20, gate(SELECTORS.code0, 0x2000, 0x86));
  deliver(cpu, external(0x20));
  assertEquals(cpu.state.get("rsp"), 0x7000n - 6n);
  assertEquals(stack(cpu, 2, 3), [0x1000n, BigInt(SELECTORS.code0), 2n]);
});

Deno.test("deliver() pushes SS:RSP and aligns the stack when in long mode", () => {
  const cpu = withGate(longMode(), 14, gate(SELECTORS.code0, 0x2000, INTERRUPT));
  cpu.set({ rsp: 0x7008, rflags: IF | 2n });
  deliver(cpu, { type: "exception", vector: 14, errorCode: 2, address: 0xdead_0000n });
  assertEquals(cpu.state.get("rsp"), 0x7000n - 48n);
  assertEquals(stack(cpu, 8, 6), [
    2n,
    0x1000n,
    BigInt(SELECTORS.code0),
    IF | RF | 2n,
    0x7008n,
    BigInt(SELECTORS.data0),
  ]);
  assertEquals(cpu.state.control("cr2"), 0xdead_0000n);
  assertEquals(cpu.counts, { exception: 1 });
});

Deno.test("deliver() takes RSP0 and a null SS when long mode enters an inner level", () => {
  const cpu = withGate(longMode({ level: 3 }), 0x80, gate(SELECTORS.code0, 0x2000, 0xee));
  deliver(cpu, software(0x80));
  assertEquals(cpu.state.cpl, 0);
  assertEquals(cpu.state.segment("ss").selector, 0);
  assertEquals(cpu.state.get("rsp"), 0x6000n - 40n);
  assertEquals(stack(cpu, 8, 5)[4], BigInt(SELECTORS.data3));
});

Deno.test("deliver() takes the interrupt stack when the gate names one", () => {
  const cpu = withGate(longMode(), 8, gate(SELECTORS.code0, 0x2000, INTERRUPT, 1));
  deliver(cpu, exception(8, 0));
  assertEquals(cpu.state.get("rsp"), 0x6800n - 48n);
  assertEquals(cpu.state.segment("ss").selector, SELECTORS.data0, "SS stays at the same level");
});

Deno.test("deliver() uses all 64 bits of a gate's offset when in long mode", () => {
  const cpu = withGate(longMode(), 32, gate(SELECTORS.code0, 0x8000_0000, INTERRUPT));
  cpu.poke64(TABLES.idt + 32 * 16 + 8, 0xffff_ffffn);
  deliver(cpu, external(32));
  assertEquals(cpu.state.rip, 0xffff_ffff_8000_0000n);
});

interface FaultRow {
  name: string;
  cpu: () => TestCpu;
  event: DeliverableEvent;
  fault: number[];
}

/** Error code that names an IDT entry. */
const entry = (vector: number, ext: number) => vector * 8 + 2 + ext;

const FAULTS: FaultRow[] = [
  {
    name: "the vector is beyond the IDT",
    cpu: () => {
      const cpu = longMode();
      cpu.state.idtr = { base: BigInt(TABLES.idt), limit: 0x1ff };
      return cpu;
    },
    event: external(0x20),
    fault: [VECTOR.GP, entry(0x20, 1)],
  },
  {
    name: "the entry is empty",
    cpu: longMode,
    event: software(0x20),
    fault: [VECTOR.GP, entry(0x20, 0)],
  },
  {
    name: "the gate is absent",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.code0, 0, 0x0e)),
    event: external(0x20),
    fault: [VECTOR.NP, entry(0x20, 1)],
  },
  {
    name: "a program may not use the gate",
    cpu: () => withGate(longMode({ level: 3 }), 0x20, gate(SELECTORS.code0, 0, INTERRUPT)),
    event: software(0x20),
    fault: [VECTOR.GP, entry(0x20, 0)],
  },
  {
    name: "the gate is a task gate in long mode",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.tss, 0, 0x85)),
    event: external(0x20),
    fault: [VECTOR.GP, entry(0x20, 1)],
  },
  {
    name: "the task behind a gate is in the LDT",
    cpu: () => withGate(protectedMode(), 0x20, gate(SELECTORS.tss | 4, 0, 0x85)),
    event: external(0x20),
    fault: [VECTOR.GP, SELECTORS.tss | 5],
  },
  {
    name: "a 16-bit gate is used in long mode",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.code0, 0, 0x86)),
    event: external(0x20),
    fault: [VECTOR.GP, entry(0x20, 1)],
  },
  {
    name: "the handler's selector is null",
    cpu: () => withGate(longMode(), 0x20, gate(0, 0, INTERRUPT)),
    event: external(0x20),
    fault: [VECTOR.GP, 1],
  },
  {
    name: "the handler is not code",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.data0, 0, INTERRUPT)),
    event: software(0x20),
    fault: [VECTOR.GP, SELECTORS.data0],
  },
  {
    name: "the handler is of an outer level",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.code3, 0, INTERRUPT)),
    event: software(0x20),
    fault: [VECTOR.GP, SELECTORS.code3 & ~3],
  },
  {
    name: "the handler is absent",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.absent0, 0, INTERRUPT)),
    event: external(0x20),
    fault: [VECTOR.NP, SELECTORS.absent0 | 1],
  },
  {
    name: "the handler is 32-bit code in long mode",
    cpu: () => withGate(longMode(), 0x20, gate(SELECTORS.other0, 0, INTERRUPT)),
    event: software(0x20),
    fault: [VECTOR.GP, SELECTORS.other0],
  },
  {
    name: "the TSS is too short for the stack",
    cpu: () => {
      const cpu = longMode({ level: 3 });
      cpu.state.setSegment("tr", { ...cpu.state.segment("tr"), limit: 8 });
      return withGate(cpu, 0x20, gate(SELECTORS.code0, 0, INTERRUPT));
    },
    event: external(0x20),
    fault: [VECTOR.TS, SELECTORS.tss | 1],
  },
  {
    name: "the interrupt stack is not canonical",
    cpu: () => {
      const cpu = longMode();
      cpu.poke64(TABLES.tss + 0x24, 1n << 47n);
      return withGate(cpu, 0x20, gate(SELECTORS.code0, 0, INTERRUPT, 1));
    },
    event: software(0x20),
    fault: [VECTOR.SS, 0],
  },
  {
    name: "the inner stack segment is null",
    cpu: () => {
      const cpu = protectedMode({ level: 3 });
      cpu.poke64(TABLES.tss + 8, 0n);
      return withGate(cpu, 0x20, gate(SELECTORS.code0, 0x2000, INTERRUPT));
    },
    event: external(0x20),
    fault: [VECTOR.TS, 1],
  },
  {
    name: "the inner stack segment is of the wrong level",
    cpu: () => {
      const cpu = protectedMode({ level: 3 });
      cpu.poke64(TABLES.tss + 8, SELECTORS.data3);
      return withGate(cpu, 0x20, gate(SELECTORS.code0, 0x2000, INTERRUPT));
    },
    event: external(0x20),
    fault: [VECTOR.TS, (SELECTORS.data3 & ~3) | 1],
  },
];

for (const { name, cpu: make, event, fault } of FAULTS) {
  Deno.test(`deliver() faults with ${fault} and changes no register when ${name}`, () => {
    const cpu = make();
    const before = cpu.state.snapshot();
    assertEquals(caught(() => deliver(cpu, event)), fault);
    assertEquals(cpu.state.snapshot(), before);
    assertEquals(cpu.counts, {});
  });
}

Deno.test("deliver() saves the data segments when it leaves virtual-8086 mode", () => {
  const cpu = withGate(protectedMode(), 0x20, gate(SELECTORS.code0, 0x2000, INTERRUPT));
  cpu.set({ rflags: RFLAGS.VM | 2, rsp: 0x100 });
  const names = ["es", "cs", "ss", "ds", "fs", "gs"] as const;
  for (const [i, name] of names.entries()) {
    const selector = 0x100 * (i + 1);
    cpu.state.setSegment(name, {
      selector,
      base: BigInt(selector << 4),
      limit: 0xffff,
      attributes: 0xf3,
    });
  }
  deliver(cpu, external(0x20));
  assertEquals(stack(cpu, 4, 9), [
    0x1000n,
    0x200n,
    BigInt(RFLAGS.VM | 2),
    0x100n,
    0x300n,
    0x100n,
    0x400n,
    0x500n,
    0x600n,
  ]);
  assertEquals(cpu.state.cpl, 0);
  assertEquals(cpu.state.segment("ds").selector, 0);
});

Deno.test("escalate() follows table 6-5", () => {
  const { UD, GP, NP, PF, DF } = VECTOR;
  const rows: [first: number, second: number, becomes: number | undefined][] = [
    [UD, GP, GP],
    [UD, PF, PF],
    [GP, UD, UD],
    [GP, NP, DF],
    [GP, PF, PF],
    [PF, GP, DF],
    [PF, PF, DF],
    [PF, UD, UD],
    [DF, GP, undefined],
    [DF, PF, undefined],
    [DF, UD, UD],
  ];
  for (const [first, second, becomes] of rows) {
    assertEquals(escalate(first, new GuestFault(second))?.vector, becomes, `${first}, ${second}`);
  }
});

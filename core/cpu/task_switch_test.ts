import { assertEquals } from "@std/assert";
import { CR0, RFLAGS, VECTOR } from "../base/registers.ts";
import { deliver } from "./deliver.ts";
import { GuestFault } from "./fault.ts";
import {
  descriptor,
  gate,
  longMode,
  protectedMode,
  SELECTORS,
  TABLES,
  type TestCpu,
} from "./testing.ts";

/** Another task, in the slots that the test machine leaves free. */
const TASK = 0x70, TASK_GATE = 0x78, TSS = 0x5000;
const NT = BigInt(RFLAGS.NT);
/** Offsets in a 32-bit TSS (SDM vol. 3, figure 8-2). */
const AT = {
  cr3: 0x1c,
  eip: 0x20,
  eflags: 0x24,
  esp: 0x38,
  es: 0x48,
  cs: 0x4c,
  ss: 0x50,
  trap: 0x64,
};
const BUSY = 2;

/** A CPU in one task, with another one to go to. */
function withTask(changes: Partial<Record<keyof typeof AT, number>> = {}): TestCpu {
  const cpu = protectedMode();
  cpu.poke64(TABLES.gdt + TASK, descriptor(TSS, 0x67, 0x89));
  cpu.poke64(TABLES.gdt + TASK_GATE, gate(TASK, 0, 0x85));
  const fields = { eip: 0x3000, eflags: 2, esp: 0x8000, cs: 8, ss: 0x10, es: 0x10, ...changes };
  for (const [name, value] of Object.entries(fields)) {
    cpu.ram.setUint32(TSS + AT[name as keyof typeof AT], value, true);
  }
  return cpu;
}

const farCall = (selector: number) => [0x9a, 0, 0, 0, 0, selector, 0];
const typeAt = (cpu: TestCpu, selector: number) => cpu.ram.getUint8(TABLES.gdt + selector + 5) & 15;

Deno.test("CALL to a task gate nests: busy bits, link, NT and TS; IRET goes back", () => {
  const cpu = withTask().set({ rbx: 5 });
  cpu.run(...farCall(TASK_GATE));
  const { state } = cpu;
  assertEquals([state.rip, state.get("rsp"), state.get("rbx")], [0x3000n, 0x8000n, 0n]);
  assertEquals([state.rflags, state.control("cr0") & BigInt(CR0.TS)], [2n | NT, BigInt(CR0.TS)]);
  assertEquals([state.segment("tr").selector, cpu.peek16(TSS)], [TASK, SELECTORS.tss]);
  assertEquals([typeAt(cpu, TASK), typeAt(cpu, SELECTORS.tss)], [9 | BUSY, 9]);
  assertEquals([cpu.peek32(TABLES.tss + AT.eip), cpu.peek16(TABLES.tss + AT.cs)], [0x1007, 8]);
  // LTR would have marked the first task as busy.
  cpu.ram.setUint8(TABLES.gdt + SELECTORS.tss + 5, 0x8b);
  cpu.run(0xcf);
  assertEquals([state.rip, state.get("rbx"), state.rflags & NT], [0x1007n, 5n, 0n]);
  assertEquals([typeAt(cpu, TASK), typeAt(cpu, SELECTORS.tss)], [9, 9 | BUSY]);
});

Deno.test("JMP to a TSS leaves no link, and the old task is no longer busy", () => {
  const cpu = withTask();
  cpu.ram.setUint8(TABLES.gdt + SELECTORS.tss + 5, 0x8b);
  cpu.run(0xea, 0, 0, 0, 0, TASK, 0);
  assertEquals([cpu.peek16(TSS), typeAt(cpu, SELECTORS.tss)], [0, 9]);
  assertEquals(cpu.state.rflags & NT, 0n);
});

Deno.test("an exception through a task gate pushes its error code on the new task's stack", () => {
  const cpu = withTask();
  cpu.poke64(TABLES.idt + 8 * VECTOR.GP, gate(TASK, 0, 0x85));
  deliver(cpu, { type: "exception", vector: VECTOR.GP, errorCode: 0x1234 });
  assertEquals([cpu.state.get("rsp"), cpu.peek32(0x7ffc)], [0x7ffcn, 0x1234]);
  // A fault: the old task's image has RF.
  assertEquals(cpu.peek32(TABLES.tss + AT.eflags) & RFLAGS.RF, RFLAGS.RF);
});

Deno.test("a switch is refused before the commit point with nothing changed", () => {
  const rows: [string, (cpu: TestCpu) => void, number, (number | undefined)[]][] = [
    ["busy", (cpu) => cpu.ram.setUint8(TABLES.gdt + TASK + 5, 0x8b), TASK, [VECTOR.GP, TASK]],
    ["absent", (cpu) => cpu.ram.setUint8(TABLES.gdt + TASK + 5, 0x09), TASK, [VECTOR.NP, TASK]],
    ["short", (cpu) => cpu.ram.setUint16(TABLES.gdt + TASK, 0x66, true), TASK, [VECTOR.TS, TASK]],
    [
      "an absent gate",
      (cpu) => cpu.ram.setUint8(TABLES.gdt + TASK_GATE + 5, 0x05),
      TASK_GATE,
      [VECTOR.NP, TASK_GATE],
    ],
    [
      "a gate to the LDT",
      (cpu) => cpu.ram.setUint16(TABLES.gdt + TASK_GATE + 2, TASK | 4, true),
      TASK_GATE,
      [VECTOR.GP, TASK | 4],
    ],
  ];
  for (const [name, change, selector, fault] of rows) {
    const cpu = withTask();
    change(cpu);
    const before = cpu.state.snapshot();
    assertEquals(cpu.fault(...farCall(selector)), fault, name);
    assertEquals(cpu.state.snapshot(), before, name);
  }
});

Deno.test("past the commit point faults are the new task's", () => {
  const rows: [string, Parameters<typeof withTask>[0], (number | undefined)[]][] = [
    ["null CS", { cs: 0 }, [VECTOR.TS, 0]],
    ["absent CS", { cs: SELECTORS.absent0 }, [VECTOR.NP, SELECTORS.absent0]],
    ["data as CS", { cs: SELECTORS.data0 }, [VECTOR.TS, SELECTORS.data0]],
    ["null SS", { ss: 0 }, [VECTOR.TS, 0]],
    ["code as SS", { ss: SELECTORS.code0 }, [VECTOR.TS, SELECTORS.code0]],
    ["ES beyond the table", { es: 0x100 }, [VECTOR.TS, 0x100]],
  ];
  for (const [name, changes, fault] of rows) {
    const cpu = withTask(changes);
    assertEquals(cpu.fault(...farCall(TASK)), fault, name);
    assertEquals([cpu.state.rip, cpu.state.segment("tr").selector], [0x3000n, TASK], name);
  }
});

Deno.test("the T flag of a TSS traps before the task's first instruction", () => {
  const cpu = withTask({ trap: 1 });
  assertEquals(cpu.fault(...farCall(TASK)), [VECTOR.DB]);
  assertEquals([cpu.state.rip, cpu.state.debug(6) & 0x8000n], [0x3000n, 0x8000n]);
});

Deno.test("whoever wants task switches is asked when all is checked and nothing has changed", () => {
  const cpu = withTask();
  const before = cpu.state.snapshot();
  const asked: number[] = [];
  const stop = new GuestFault(VECTOR.UD);
  const surroundings = {
    ...cpu.surroundings,
    taskSwitch: (selector: number) => {
      asked.push(selector);
      throw stop;
    },
  };
  cpu.poke64(TABLES.idt + 8 * VECTOR.BP, gate(TASK, 0, 0x85));
  const asking = { ...cpu, state: cpu.state, memory: cpu.memory, physical: cpu.physical };
  try {
    deliver({ ...asking, surroundings }, { type: "exception", vector: VECTOR.BP });
  } catch (thrown) {
    assertEquals(thrown, stop);
  }
  assertEquals(asked, [TASK]);
  assertEquals(cpu.state.snapshot(), before);
});

Deno.test("LTR takes no 16-bit TSS when in long mode, nor one whose second half has a type", () => {
  const narrow = longMode().set({ rax: TASK });
  narrow.poke64(TABLES.gdt + TASK, descriptor(TSS, 0x67, 0x81), 0n);
  assertEquals(narrow.fault(0x0f, 0x00, 0xd8), [VECTOR.GP, TASK]);
  const typed = longMode().set({ rax: TASK });
  typed.poke64(TABLES.gdt + TASK, descriptor(TSS, 0x67, 0x89), 1n << 40n);
  assertEquals(typed.fault(0x0f, 0x00, 0xd8), [VECTOR.GP, TASK]);
});

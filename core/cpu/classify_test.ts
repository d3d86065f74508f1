import { assertEquals } from "@std/assert";
import { CR4, RFLAGS, VECTOR } from "../base/registers.ts";
import { checkPrivilege, exitDetail, instructionName, sensitiveOperation } from "./classify.ts";
import { SENSITIVE_OPERATIONS, type SensitiveOperation } from "./sensitive_operations.ts";
import {
  caught,
  decode,
  longMode,
  protectedMode,
  realMode,
  TABLES,
  type TestCpu,
} from "./testing.ts";

interface Row {
  bits: 16 | 32 | 64;
  bytes: number[];
  operation: SensitiveOperation | undefined;
  name: string;
}

const row = (
  bits: 16 | 32 | 64,
  operation: SensitiveOperation | undefined,
  name: string,
  ...bytes: number[]
): Row => ({ bits, bytes, operation, name });

const ROWS: Row[] = [
  row(64, "port-io", "in", 0xe4, 0x80),
  row(64, "port-io", "out", 0xee),
  row(64, "port-io", "insb", 0xf3, 0x6c),
  row(64, "port-io", "outsd", 0x6f),
  row(64, "cpuid", "cpuid", 0x0f, 0xa2),
  row(64, "hlt", "hlt", 0xf4),
  row(64, "rdtsc", "rdtsc", 0x0f, 0x31),
  row(64, "rdtscp", "rdtscp", 0x0f, 0x01, 0xf9),
  row(64, "rdpmc", "rdpmc", 0x0f, 0x33),
  row(64, "rdmsr", "rdmsr", 0x0f, 0x32),
  row(64, "wrmsr", "wrmsr", 0x0f, 0x30),
  row(64, "mov-from-cr", "mov", 0x0f, 0x20, 0xc0),
  row(64, "mov-from-cr3", "mov", 0x0f, 0x20, 0xd8),
  row(64, "mov-to-cr0", "mov", 0x0f, 0x22, 0xc0),
  row(64, "mov-to-cr2", "mov", 0x0f, 0x22, 0xd0),
  row(64, "mov-to-cr3", "mov", 0x0f, 0x22, 0xd8),
  row(64, "mov-to-cr4", "mov", 0x0f, 0x22, 0xe0),
  row(64, "mov-cr8", "mov", 0x44, 0x0f, 0x20, 0xc0),
  row(64, "mov-cr8", "mov", 0x44, 0x0f, 0x22, 0xc0),
  row(64, "clts", "clts", 0x0f, 0x06),
  row(64, "lmsw", "lmsw", 0x0f, 0x01, 0xf0),
  row(64, "smsw", "smsw", 0x0f, 0x01, 0xe0),
  row(64, "mov-dr", "mov", 0x0f, 0x21, 0xc0),
  row(64, "mov-dr", "mov", 0x0f, 0x23, 0xf8),
  row(64, "invlpg", "invlpg", 0x0f, 0x01, 0x38),
  row(64, "invd", "invd", 0x0f, 0x08),
  row(64, "wbinvd", "wbinvd", 0x0f, 0x09),
  row(64, "lgdt-lidt", "lgdt", 0x0f, 0x01, 0x10),
  row(64, "sgdt-sidt", "sidt", 0x0f, 0x01, 0x08),
  row(64, "lldt-ltr", "ltr", 0x0f, 0x00, 0xd8),
  row(64, "sldt-str", "str", 0x0f, 0x00, 0xc8),
  row(64, "lar-lsl-verr-verw", "lar", 0x0f, 0x02, 0xc1),
  row(64, "lar-lsl-verr-verw", "verw", 0x0f, 0x00, 0xe8),
  row(64, "pushf", "pushf", 0x9c),
  row(32, "pushf", "pushf", 0x9c),
  row(16, "popf", "popf", 0x9d),
  row(64, "popf", "popf", 0x9d),
  row(64, "cli-sti", "cli", 0xfa),
  row(64, "segment-load", "mov to ss", 0x8e, 0xd0),
  row(64, "segment-store", "mov from cs", 0x8c, 0xc8),
  row(16, "segment-store", "push cs", 0x0e),
  row(16, "segment-load", "pop ds", 0x1f),
  row(64, "segment-load", "pop fs", 0x0f, 0xa1),
  row(16, "segment-load", "lds", 0xc5, 0x07),
  row(64, "segment-load", "lss", 0x0f, 0xb2, 0x00),
  row(16, "far-transfer", "jmp far", 0xea, 0, 0, 0, 0),
  row(64, "far-transfer", "jmp far", 0x48, 0xff, 0x28),
  row(16, "far-transfer", "call far", 0x9a, 0, 0, 0, 0),
  row(64, "far-transfer", "call far", 0xff, 0x18),
  row(64, "far-transfer", "retf", 0xcb),
  row(64, "iret", "iret", 0x48, 0xcf),
  row(64, "int-n", "int", 0xcd, 0x80),
  row(64, "int-n", "int3", 0xcc),
  row(32, "int-n", "into", 0xce),
  row(64, "syscall", "syscall", 0x0f, 0x05),
  row(64, "syscall", "sysenter", 0x0f, 0x34),
  row(64, "sysret", "sysret", 0x48, 0x0f, 0x07),
  row(64, "sysret", "sysexit", 0x48, 0x0f, 0x35),
  row(64, "swapgs", "swapgs", 0x0f, 0x01, 0xf8),
  row(64, "vmcall", "vmcall", 0x0f, 0x01, 0xc1),
  row(64, "vmcall", "vmmcall", 0x0f, 0x01, 0xd9),
  row(64, "xsetbv", "xsetbv", 0x0f, 0x01, 0xd1),
  row(64, "monitor-mwait", "mwait", 0x0f, 0x01, 0xc9),
  row(64, "pause", "pause", 0xf3, 0x90),
  row(64, "indirect-branch", "ret", 0xc3),
  row(64, "indirect-branch", "jmp", 0xff, 0xe0),
  row(64, "indirect-branch", "call", 0xff, 0x10),
  row(64, undefined, "jmp", 0xeb, 0xfe),
  row(64, undefined, "call", 0xe8, 0, 0, 0, 0),
  row(64, undefined, "mov", 0x89, 0xc8),
  row(64, undefined, "mov", 0x8b, 0x00),
  row(64, undefined, "push", 0x50),
  row(64, undefined, "nop", 0x90),
  row(64, undefined, "ud2", 0x0f, 0x0b),
];

Deno.test("sensitiveOperation() finds the row, and instructionName() the name, of each instruction", () => {
  for (const { bits, bytes, operation, name } of ROWS) {
    const instruction = decode(bits, 0n, bytes);
    const found = [sensitiveOperation(instruction), instructionName(instruction)];
    assertEquals(found, [operation, name], instruction.toString());
  }
});

Deno.test("sensitiveOperation() reaches every row of the table", () => {
  // A task switch comes of several instructions, and of events.
  const reached = new Set([...ROWS.map((row) => row.operation), "task-switch"]);
  assertEquals(Object.keys(SENSITIVE_OPERATIONS).filter((op) => !reached.has(op as never)), []);
});

/** What checking the instruction throws: vector and error code; or `none`. */
function check(cpu: TestCpu, bytes: number[]): unknown {
  const instruction = decode(cpu.state.bitness, cpu.state.rip, bytes);
  const operation = sensitiveOperation(instruction);
  if (!operation) throw new Error(`Not sensitive: ${instruction.toString()}`);
  try {
    checkPrivilege(cpu, instruction, operation);
    return "none";
  } catch {
    return caught(() => checkPrivilege(cpu, instruction, operation));
  }
}

const user = () => longMode({ level: 3 });
const GP0 = [VECTOR.GP, 0], UD = [VECTOR.UD];

Deno.test("checkPrivilege() refuses privileged instructions when CPL is 3", () => {
  const refused: [string, number[], number[]][] = [
    ["hlt", [0xf4], GP0],
    ["mov cr0", [0x0f, 0x22, 0xc0], GP0],
    ["mov from cr3", [0x0f, 0x20, 0xd8], GP0],
    ["mov cr8", [0x44, 0x0f, 0x22, 0xc0], GP0],
    ["mov dr7", [0x0f, 0x23, 0xf8], GP0],
    ["clts", [0x0f, 0x06], GP0],
    ["lmsw", [0x0f, 0x01, 0xf0], GP0],
    ["invlpg", [0x0f, 0x01, 0x38], GP0],
    ["wbinvd", [0x0f, 0x09], GP0],
    ["lgdt", [0x0f, 0x01, 0x10], GP0],
    ["ltr", [0x0f, 0x00, 0xd8], GP0],
    ["rdmsr", [0x0f, 0x32], GP0],
    ["wrmsr", [0x0f, 0x30], GP0],
    ["rdpmc", [0x0f, 0x33], GP0],
    ["cli", [0xfa], GP0],
    ["sti", [0xfb], GP0],
    ["in", [0xec], GP0],
    ["sysret", [0x48, 0x0f, 0x07], GP0],
    ["sysexit", [0x0f, 0x35], GP0],
    ["swapgs", [0x0f, 0x01, 0xf8], GP0],
    ["monitor", [0x0f, 0x01, 0xc8], UD],
    ["xsetbv", [0x0f, 0x01, 0xd1], UD],
  ];
  for (const [name, bytes, fault] of refused) assertEquals(check(user(), bytes), fault, name);
});

Deno.test("checkPrivilege() lets sensitive instructions that are not privileged pass when CPL is 3", () => {
  const passed: [string, number[]][] = [
    ["pushf", [0x9c]],
    ["popf", [0x9d]],
    ["sgdt", [0x0f, 0x01, 0x00]],
    ["sldt", [0x0f, 0x00, 0xc0]],
    ["smsw", [0x0f, 0x01, 0xe0]],
    ["lar", [0x0f, 0x02, 0xc1]],
    ["cpuid", [0x0f, 0xa2]],
    ["rdtsc", [0x0f, 0x31]],
    ["int", [0xcd, 0x80]],
    ["iret", [0x48, 0xcf]],
    ["syscall", [0x0f, 0x05]],
    ["vmcall", [0x0f, 0x01, 0xc1]],
    ["pause", [0xf3, 0x90]],
  ];
  for (const [name, bytes] of passed) assertEquals(check(user(), bytes), "none", name);
});

Deno.test("checkPrivilege() heeds CR4 and IOPL when they say otherwise", () => {
  const withCr4 = (bits: number) => {
    const cpu = user();
    cpu.state.setControl("cr4", cpu.state.control("cr4") | BigInt(bits));
    return cpu;
  };
  assertEquals(check(withCr4(CR4.TSD), [0x0f, 0x31]), GP0, "rdtsc with TSD");
  assertEquals(check(withCr4(CR4.PCE), [0x0f, 0x33]), "none", "rdpmc with PCE");
  for (const bytes of [[0x0f, 0x01, 0x00], [0x0f, 0x00, 0xc0], [0x0f, 0x01, 0xe0]]) {
    assertEquals(check(withCr4(CR4.UMIP), bytes), GP0, "UMIP");
  }
  assertEquals(check(user().set({ rflags: RFLAGS.IOPL | 2 }), [0xfa]), "none", "cli with IOPL 3");
  assertEquals(check(user().set({ rflags: RFLAGS.IOPL | 2 }), [0xec]), "none", "in with IOPL 3");
});

Deno.test("checkPrivilege() knows what real mode lacks", () => {
  const undefinedThere: [string, number[]][] = [
    ["lldt", [0x0f, 0x00, 0xd0]],
    ["str", [0x0f, 0x00, 0xc8]],
    ["lar", [0x0f, 0x02, 0xc1]],
    ["verr", [0x0f, 0x00, 0xe0]],
    ["syscall", [0x0f, 0x05]],
  ];
  for (const [name, bytes] of undefinedThere) assertEquals(check(realMode(), bytes), UD, name);
  assertEquals(check(realMode(), [0x0f, 0x34]), GP0, "sysenter");
  assertEquals(check(realMode(), [0xec]), "none", "in");
  assertEquals(check(protectedMode(), [0x0f, 0x05]), UD, "syscall outside 64-bit mode");
});

Deno.test("checkPrivilege() reads the TSS's I/O map when CPL is above IOPL", () => {
  const make = (bits: number, base = 0x68) => {
    const cpu = user().set({ rdx: 0x83 });
    cpu.ram.setUint16(TABLES.tss + 0x66, base, true);
    cpu.ram.setUint16(TABLES.tss + base + 0x10, bits, true);
    return cpu;
  };
  const rows: [string, TestCpu, number[], unknown][] = [
    ["its own bit", make(0b1000), [0xec], GP0],
    ["other bits", make(0b0111), [0xec], "none"],
    ["a word whose second bit is set", make(0b10000), [0x66, 0xed], GP0],
    ["a doubleword across bytes", make(1 << 6), [0xed], GP0],
    ["a clear map", make(0), [0xed], "none"],
    ["a map beyond the limit", make(0, 0xff0), [0xec], GP0],
  ];
  for (const [name, cpu, bytes, expected] of rows) {
    assertEquals(check(cpu, bytes), expected, name);
  }
});

Deno.test("exitDetail() tells what the instruction is about to do", () => {
  const registers = {
    rax: 0x1234_5678_9abc_def0n,
    rcx: 0x1_c000_0080n,
    rdx: 0x9_0000_03f8n,
    rsi: 0x6000n,
    rbx: 0x4321n,
  };
  const rows: [number[], unknown][] = [
    [[0xe4, 0x80], { port: 0x80, direction: "in", size: 1, value: 0 }],
    [[0xee], { port: 0x3f8, direction: "out", size: 1, value: 0xf0 }],
    [[0x66, 0xef], { port: 0x3f8, direction: "out", size: 2, value: 0xdef0 }],
    [[0xe7, 0x10], { port: 0x10, direction: "out", size: 4, value: 0x9abcdef0 }],
    [[0xf3, 0x6e], { port: 0x3f8, direction: "out", size: 1, value: 0x5a, string: true }],
    [[0x6d], { port: 0x3f8, direction: "in", size: 4, value: 0, string: true }],
    [[0x0f, 0xa2], { leaf: 0x9abcdef0, subleaf: 0xc000_0080 }],
    [[0x0f, 0x32], { msr: 0xc000_0080 }],
    [[0x0f, 0x30], { msr: 0xc000_0080, value: 0x3f8_9abc_def0n }],
    [[0x0f, 0x22, 0xd8], { register: 3, access: "mov-to", value: 0x1234_5678_9abc_def0n }],
    [[0x0f, 0x20, 0xd9], { register: 3, access: "mov-from", value: 0x8000n }],
    [[0x0f, 0x06], { register: 0, access: "clts", value: 0n }],
    [[0x0f, 0x01, 0xf3], { register: 0, access: "lmsw", value: 0x4321n }],
    [[0x0f, 0x01, 0xe0], { register: 0, access: "smsw", value: 0x11n }],
    [[0x0f, 0x23, 0xf8], { register: 7, direction: "out" }],
    [[0x0f, 0x21, 0xf0], { register: 6, direction: "in" }],
    [[0x0f, 0x01, 0x7b, 0x08], { address: 0x4329n }],
    [[0x0f, 0x01, 0x10], { instruction: "lgdt" }],
    [[0x0f, 0x00, 0xd8], { instruction: "ltr" }],
    [[0xcd, 0x80], { vector: 0x80 }],
    [[0xcc], { vector: 3 }],
    [[0xf1], { vector: 1 }],
    [[0x0f, 0x05], { number: 0x1234_5678_9abc_def0n }],
    [[0x9d], { instruction: "popf" }],
    [[0xf4], {}],
  ];
  for (const [bytes, detail] of rows) {
    const cpu = longMode().set(registers).poke(0x6000, [0x5a]);
    const instruction = decode(64, cpu.state.rip, bytes);
    const operation = sensitiveOperation(instruction);
    if (!operation) throw new Error(instruction.toString());
    const before = cpu.state.snapshot();
    assertEquals(exitDetail(cpu, instruction, operation).detail, detail, instruction.toString());
    assertEquals(cpu.state.snapshot(), before);
  }
});

Deno.test("exitDetail() gives the kind that the table names, but for MONITOR", () => {
  for (const { bits, bytes, operation } of ROWS) {
    if (bits !== 64 || !operation) continue;
    const cpu = longMode().set({ rax: 0x6000, rsi: 0x6000, rdi: 0x6000 });
    const { kind } = exitDetail(cpu, decode(64, 0n, bytes), operation);
    assertEquals(kind, SENSITIVE_OPERATIONS[operation].exit);
  }
  const monitor = decode(64, 0n, [0x0f, 0x01, 0xc8]);
  assertEquals(exitDetail(longMode(), monitor, "monitor-mwait").kind, "monitor");
});

// What leaves the guest under VT-x as KVM programs it: bit by bit of CR0 and CR4, register by register of the MSRs.
import { assertEquals } from "@std/assert";
import type { Backend } from "../base/backend.ts";
import type { Trace } from "../trace/trace.ts";
import { type ProgramOptions, runProgram } from "./testing_runs.ts";

const HARDWARE = ["full-hw", "full-hw/shadow", "hybrid"] as const;

/** The exits of a run, in order, but for what memory and the final HLT make. */
function leaves({ events }: Trace): string[] {
  return events.flatMap((event) => {
    if (event.type !== "exit") return [];
    const { kind, detail } = event.exit;
    if (kind === "hlt" || kind === "shadow-fill") return [];
    if (kind === "cr-access") return [`${detail.access} cr${detail.register}`];
    if (kind === "msr-read" || kind === "msr-write") return [`${kind} ${detail.msr.toString(16)}`];
    return [kind];
  });
}

/** Writes a register with one bit changed, and back. */
const toggles = (register: string, bit: number) => `
    mov   rax, ${register}
    mov   rbx, rax
    btc   rax, ${bit}
    mov   ${register}, rax
    mov   ${register}, rbx
    hlt`;
const both = (exit: string) => [exit, exit];

interface Row {
  readonly what: string;
  readonly text: string;
  readonly options?: ProgramOptions;
  readonly leaves: readonly string[] | Readonly<Record<typeof HARDWARE[number], readonly string[]>>;
}

const ROWS: readonly Row[] = [
  { what: "CR0 is written as it is", text: "mov rax, cr0\nmov cr0, rax\nhlt", leaves: [] },
  { what: "CR4 is written as it is", text: "mov rax, cr4\nmov cr4, rax\nhlt", leaves: [] },
  { what: "CR0.TS changes", text: toggles("cr0", 3), leaves: [] },
  { what: "CR0.WP changes", text: toggles("cr0", 16), leaves: both("mov-to cr0") },
  { what: "CR0.AM changes", text: toggles("cr0", 18), leaves: both("mov-to cr0") },
  { what: "CR4.TSD changes", text: toggles("cr4", 2), leaves: [] },
  { what: "CR4.FSGSBASE changes", text: toggles("cr4", 16), leaves: [] },
  { what: "CR4.SMEP changes", text: toggles("cr4", 20), leaves: both("mov-to cr4") },
  {
    what: "CR4.PGE changes, which shadow tables have to know",
    text: toggles("cr4", 7),
    leaves: { "full-hw": [], "full-hw/shadow": both("mov-to cr4"), "hybrid": [] },
  },
  {
    what: "LMSW sets PE, writes it again, and tries to clear it",
    options: { entry: "real16" },
    text: "mov ax, 1\nlmsw ax\nlmsw ax\nxor ax, ax\nlmsw ax\nhlt",
    leaves: ["lmsw cr0"],
  },
  { what: "LMSW sets TS", text: "smsw eax\nor eax, 8\nlmsw ax\nclts\nhlt", leaves: [] },
  { what: "LMSW sets EM", text: "smsw eax\nor eax, 4\nlmsw ax\nhlt", leaves: ["lmsw cr0"] },
  {
    what: "CR3 is read, which under shadow paging is not the guest's",
    text: "mov rax, cr3\nhlt",
    leaves: { "full-hw": [], "full-hw/shadow": ["mov-from cr3"], "hybrid": [] },
  },
  {
    what: "MSRs of segment bases and SYSENTER are written and read",
    text: [0xc0000100, 0xc0000101, 0xc0000102, 0x174, 0x175, 0x176]
      .map((msr) => `mov ecx, ${msr}\nmov eax, 0x8000\nxor edx, edx\nwrmsr\nrdmsr\n`).join("") +
      "hlt",
    leaves: [],
  },
  { what: "the TSC is read as an MSR", text: "mov ecx, 0x10\nrdmsr\nhlt", leaves: [] },
  {
    what: "the entry of SYSCALL is written",
    text: "mov ecx, 0xc0000082\nmov eax, 0x8000\nxor edx, edx\nwrmsr\nhlt",
    leaves: ["msr-write c0000082"],
  },
];

for (const { what, text, options, leaves: wanted } of ROWS) {
  Deno.test(`VT-x leaves the guest as KVM has it when ${what}`, () => {
    const run = (backend: Backend) => runProgram(backend, `start:\n${text}`, options);
    const native = run("native");
    for (const backend of HARDWARE) {
      const trace = run(backend);
      assertEquals(leaves(trace), "hybrid" in wanted ? wanted[backend] : wanted, backend);
      assertEquals(trace.end, native.end, backend);
      const { rax, rbx } = native.final.registers;
      // A time stamp differs by what the exits have cost.
      if (!text.includes("0x10\n")) {
        assertEquals([trace.final.registers.rax, trace.final.registers.rbx], [rax, rbx], backend);
      }
    }
  });
}

Deno.test("VT-x injects no fault for an MSR that the guest owns: the guest's own CPU raises it", () => {
  const text = `start:
    mov   ecx, 0xc0000101
    mov   eax, 0
    mov   edx, 0x1000000               ; not canonical, not even with 57 bits
    wrmsr
    hlt`;
  for (const backend of HARDWARE) {
    const trace = runProgram(backend, text);
    assertEquals(leaves(trace).filter((exit) => exit.startsWith("msr")), [], backend);
    assertEquals(trace.end.kind, "triple-fault", backend);
  }
});

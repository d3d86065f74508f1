// Guests of the Xen interface, written to it without the pv-op library, on the embedded engine.
import { assertEquals, assertMatch } from "@std/assert";
import { XEN_CONSOLE_PORT, XEN_HYPERCALL_PAGE, XEN_SHARED_INFO } from "../../guest/layout.ts";
import type { Exit } from "../../trace/exit.ts";
import type { Trace } from "../../trace/trace.ts";
import { type ProgramOptions, runProgram } from "../testing_runs.ts";

const PRELUDE = `
  PAGE equ ${XEN_HYPERCALL_PAGE}
  SHARED equ ${XEN_SHARED_INFO}
  SELF equ 0x7ff0
  %macro hypercall 1
      call PAGE + 32 * %1
  %endmacro
  %macro finish 1
      mov dword [0x200000], %1
      mov esi, 0x200000
      mov edi, 2
      mov eax, 29
      syscall
  %endmacro
  %macro trap 3                       ; vector, flags, handler
      mov dword [0x200000], %1 | %2 << 8 | 0xe033 << 16
      lea rax, [rel %3]
      mov [0x200008], rax
      mov qword [0x200018], 0
      mov edi, 0x200000
      hypercall 0
  %endmacro
`;

function run(text: string, options: ProgramOptions = {}): Trace {
  // The first instruction is the start of the text; the prelude has none.
  return runProgram("para", PRELUDE + text, { memory: 4 << 20, ...options });
}

function exitsOf(trace: Trace): Exit[] {
  return trace.events.flatMap((event) => event.type === "exit" ? [event.exit] : []);
}

Deno.test("a hypercall goes by the page and by SYSCALL alike, and start_info is where RSI says", () => {
  const trace = run(`
    start:
        mov   rbx, [rsi]                ; "xen-4.17"
        mov   r13, [rsi + 40]           ; shared_info
        xor   edi, edi                  ; XENVER_version
        hypercall 17
        mov   r12, rax
        mov   eax, 17
        xor   edi, edi
        syscall
        sub   r12, rax
        finish 0`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const { rbx = 0n, r12, r13 } = trace.final.registers;
  assertEquals(new TextDecoder().decode(BigUint64Array.of(rbx)), "xen-4.17");
  assertEquals([r12, r13], [0n, BigInt(XEN_SHARED_INFO)]);
  assertEquals(trace.counts.exits, { total: 3, kinds: { hypercall: 3 } });
});

Deno.test("an unmodified guest ends at its first privileged instruction; POPF is not one, and lies", () => {
  const trace = run(`
    start:
        mov   rax, 0x3002               ; IOPL and IF clear
        push  rax
        popfq
        pushfq
        pop   rbx
    place:
        cli`);
  assertEquals(trace.end.kind === "unported" && trace.end.instruction, "cli");
  assertEquals((trace.final.registers.rbx ?? 0n) & 0x3200n, 0x200n, "IF is Xen's, and so is IOPL");
});

Deno.test("CPUID is Xen's with the prefix and the processor's without", () => {
  const trace = run(`
    start:
        mov   eax, 0x40000000
        xor   ecx, ecx
        db    0x0f, 0x0b, "xen"
        cpuid
        mov   r12d, ebx
        mov   eax, 0x40000000
        xor   ecx, ecx
        cpuid
        mov   r13d, ebx
        finish 0`);
  const { r12 = 0n, r13 } = trace.final.registers;
  assertEquals(r12, 0x566e_6558n, "XenV");
  assertEquals(r13 === r12, false);
  assertEquals(trace.counts.exits.kinds, { cpuid: 1, hypercall: 1 });
});

Deno.test("a store to a page table faults, and is validated where the guest asks for writable ones", () => {
  const program = (assist: string) => `
    start:
        ${assist}
        trap  14, 4, fault
        mov   rax, [0x40058]            ; start_info.pt_base
        mov   rax, [rax]                ; down to the level-1 table of 0x300000
        and   rax, -4096
        mov   rax, [rax]
        and   rax, -4096
        mov   rax, [rax + 8]
        and   rax, -4096
        xor   ebx, ebx
        mov   qword [rax + 0x100 * 8], 0x301007
        mov   qword [0x300000], 5       ; in the frame that was mapped there
        mov   rcx, [0x301000]
        finish 0
    fault:                              ; rcx, r11, error code, rip
        mov   rbx, [rsp + 16]
        finish 1`;
  const refused = run(program(""));
  assertEquals(refused.end, { kind: "shutdown", code: 1 });
  assertEquals(
    refused.final.registers.rbx,
    3n,
    "present, write; not user: the kernel's own access",
  );
  const assisted = run(program(`
        xor   edi, edi
        mov   esi, 2
        hypercall 21`));
  assertEquals(assisted.end, { kind: "shutdown", code: 0 });
  assertEquals(assisted.final.registers.rcx, 5n);
});

// Whole entries, and one store across two of them.
const SMUGGLED: readonly [what: string, store: string][] = [
  ["in an entry", "mov [rax], rbx"],
  ["across two entries", "shl rbx, 32\n mov [rax + 4], rbx"],
];

for (const [what, store] of SMUGGLED) {
  Deno.test(`writable page tables don't let a guest smuggle a table in ${what}`, () => {
    const trace = run(`
    start:
        xor   edi, edi
        mov   esi, 2
        hypercall 21
        mov   rbx, [0x40058]
        mov   rax, [rbx]
        and   rax, -4096
        mov   rax, [rax]
        and   rax, -4096
        mov   rax, [rax]
        and   rax, -4096
        or    rbx, 7                    ; the top-level table, writable
        ${store}
        finish 0`);
    assertEquals(trace.end.kind, "crash");
    assertMatch(trace.end.kind === "crash" ? trace.end.reason : "", /refuse/);
  });
}

Deno.test("INT n reaches the kernel's handler if it may be used so, else #GP with the gate's index", () => {
  const trace = run(`
    start:
        trap  13, 0, protection
        trap  0x80, 3, handler
        trap  0x82, 0, handler          ; Xen's alone to call
        xor   r12d, r12d
        int   0x80
        int   0x81                      ; no handler
        mov   r14, r13
        int   0x82
        finish 0
    handler:
        inc   r12d
        pop   rcx
        pop   r11
        push  0
        jmp   PAGE + 32 * 23
    protection:
        mov   r13, [rsp + 16]
        add   qword [rsp + 24], 2
        pop   rcx
        pop   r11
        add   rsp, 8
        push  0
        jmp   PAGE + 32 * 23`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const { r12, r13, r14 } = trace.final.registers;
  assertEquals([r12, r14, r13], [1n, 0x40an, 0x412n]);
  assertEquals(trace.counts.exits.kinds["software-interrupt"], 3);
});

Deno.test("iret loses neither RAX, RCX nor R11", () => {
  const trace = run(`
    start:
        trap  6, 0, handler
        mov   rax, 1
        mov   rcx, 2
        mov   r11, 3
        ud2
        mov   r12, rax
        mov   r13, rcx
        mov   r14, r11
        finish 0
    handler:
        mov   rcx, [rsp]
        mov   r11, [rsp + 8]
        add   qword [rsp + 16], 2
        add   rsp, 16
        push  0
        jmp   PAGE + 32 * 23`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const { r12, r13, r14 } = trace.final.registers;
  assertEquals([r12, r13, r14], [1n, 2n, 3n]);
});

Deno.test("the GDT that Xen gives has the flat segments, and loads of others fault", () => {
  const trace = run(`
    start:
        trap  13, 0, protection
        mov   eax, 0xe02b
        mov   ds, eax
        mov   es, eax
        lar   ebx, eax
        mov   ecx, cs
        mov   eax, 0x28
        xor   r12d, r12d
        mov   ds, eax                   ; 8E D8
        mov   eax, ds
        finish 0
    protection:
        mov   r12, [rsp + 16]
        add   qword [rsp + 24], 2
        pop   rcx
        pop   r11
        add   rsp, 8
        push  0
        jmp   PAGE + 32 * 23`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const { rbx = 0n, r12 } = trace.final.registers;
  assertEquals((rbx >> 8n) & 0xffn, 0xf3n);
  assertEquals(r12, 0x28n);
});

Deno.test("multicall is one exit, whatever it carries", () => {
  const trace = run(`
    start:
        mov   edi, calls
        mov   esi, 3
        hypercall 13
        mov   rbx, [calls + 8]
        finish 0
        align 8
    calls:
        dq 17, 0, 0, 0, 0, 0, 0, 0
        dq 18, 0, 0, 3, text, 0, 0, 0
        dq 18, 0, 0, 3, text, 0, 0, 0
    text: db "abc"`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals(trace.final.registers.rbx, 0x4_0011n);
  assertEquals(new TextDecoder().decode(trace.console), "abcabc");
  assertEquals(trace.counts.exits.total, 2);
});

Deno.test("the console ring prints with one event, whatever the length", () => {
  const trace = run(`
    start:
        mov   rdi, 0x42000 + 1024       ; out[2048]
        mov   al, "x"
        mov   ecx, 300
        rep stosb
        mov   dword [0x42000 + 3084], 300
        mov   dword [0x200000], ${XEN_CONSOLE_PORT}
        mov   edi, 4
        mov   esi, 0x200000
        hypercall 32
        finish 0`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals(new TextDecoder().decode(trace.console), "x".repeat(300));
  assertEquals(trace.counts.exits.total, 2);
});

Deno.test("unknown hypercalls fail, are counted, and show their number", () => {
  const trace = run(`
    start:
        mov   eax, 55
        syscall
        mov   rbx, rax
        finish 0`);
  assertEquals(trace.final.registers.rbx, (1n << 64n) - 38n);
  const [exit] = exitsOf(trace);
  assertEquals(exit?.kind === "hypercall" && [exit.detail.name, exit.detail.number], [
    "unknown",
    55n,
  ]);
});

Deno.test("blocking with nothing to wait for is a halt", () => {
  const trace = run(`
    start:
        mov   edi, 1
        hypercall 29`);
  assertEquals(trace.end, { kind: "halt" });
});

const HOSTILE: readonly [what: string, program: string, kind: string][] = [
  ["takes a fault without a handler", "ud2", "crash"],
  [
    "takes a fault without a stack",
    "trap 6, 0, start\n xor esp, esp\n mov rsp, 0x40000000\n ud2",
    "crash",
  ],
  ["lets events in without a callback", "mov word [SHARED], 1\n hypercall 17", "crash"],
  ["returns from nowhere", "mov rsp, 0x40000000\n mov eax, 23\n syscall", "crash"],
  ["jumps to device memory", "mov eax, 0xfee00000\n jmp rax", "crash"],
  ["executes VMCALL", "vmcall", "crash"],
  ["faults for ever", "trap 6, 0, again\n again: ud2", "crash"],
  [
    "sends to a silent back end",
    `mov dword [0x200000], ${XEN_CONSOLE_PORT}\n mov edi, 4\n mov esi, 0x200000\n hypercall 32\n finish 9`,
    "shutdown",
  ],
];

for (const [what, program, kind] of HOSTILE) {
  Deno.test(`a guest that ${what} ends as ${kind}`, () => {
    const trace = run(`start:\n ${program}`, { limits: { instructions: 100_000, exits: 100_000 } });
    assertEquals(trace.end.kind, kind);
  });
}

Deno.test("two runs give the same trace", () => {
  const program = `
    start:
        pv    time_now
        lea   rdi, [rax + 3000]
        lea   rsi, [rel tick]
        pv    timer_set
        pv    wait
        mov   edi, 0
        pv    shutdown
    tick: ret`;
  const { wallNs: _first, ...first } = runProgram("para", program);
  const { wallNs: _second, ...second } = runProgram("para", program);
  assertEquals(first, second);
});

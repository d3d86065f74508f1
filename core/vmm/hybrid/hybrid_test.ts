import { assert, assertEquals, assertLess } from "@std/assert";
import type { Access, Exit } from "../../trace/exit.ts";
import type { Trace } from "../../trace/trace.ts";
import { LAPIC_BASE } from "../../guest/layout.ts";
import { runProgram } from "../testing_runs.ts";

const LAPIC_EOI = LAPIC_BASE + 0xb0;

function exits<K extends Exit["kind"]>(trace: Trace, kind: K): Extract<Exit, { kind: K }>[] {
  return trace.events
    .flatMap((event) => event.type === "exit" ? [event.exit] : [])
    .filter((exit): exit is Extract<Exit, { kind: K }> => exit.kind === kind);
}

function accesses(trace: Trace): Access[] {
  return trace.events.flatMap((event) => event.type === "access" ? [event.access] : []);
}

/** Runs a program to its `pv shutdown` and tells the registers it ended with. */
function registers(program: string) {
  const trace = runProgram("hybrid", `${program}\n xor edi, edi\n pv shutdown`);
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  return trace.final.registers;
}

Deno.test("hybrid signs its CPUID leaves and announces what it has", () => {
  const { r8, r9, r10, r11 } = registers(`
    mov eax, 0x40000000
    cpuid
    mov r8, rbx
    mov eax, 0x40000001
    cpuid
    mov r9, rax
    mov eax, 1
    xor ecx, ecx
    cpuid
    mov r10, rcx
    mov r11, rdx`);
  assertEquals(r8, 0x4b4d564bn);
  // clocksource, no I/O delay, clocksource 2, steal time, PV EOI, unhalt, IPI, yield, stable clock
  assertEquals(r9, 0x010028ebn);
  assertEquals((r10 ?? 0n) >> 31n & 1n, 1n, "hypervisor");
  assertEquals((r10 ?? 0n) >> 24n & 1n, 1n, "TSC deadline");
  assertEquals((r11 ?? 0n) >> 9n & 1n, 1n, "APIC");
});

Deno.test("hybrid answers hypercalls of the kernel, and none of user mode", () => {
  const { r12, r13, r14 } = registers(`
    mov eax, 11                        ; SCHED_YIELD
    vmcall
    mov r12, rax
    mov eax, 999
    vmcall
    mov r13, rax
    lea rdi, [rel syscall]
    pv  syscall_set
    lea rdi, [rel user]
    mov rsi, rdi
    pv  map_user
    lea rdi, [rel user]
    xor esi, esi
    pv  user_enter
    movsxd r14, eax
    jmp end
  syscall:
    mov edi, esi
    pv  user_exit
    align 4096
  user:
    mov eax, 11
    vmcall
    mov rdi, rax
    syscall
    align 4096
  end:`);
  assertEquals([r12, r13, r14].map((value) => BigInt.asIntN(64, value ?? 0n)), [0n, -1000n, -1n]);
});

Deno.test("hybrid delivers an interrupt that a guest sends itself by hypercall", () => {
  const trace = runProgram(
    "hybrid",
    `
    mov  edi, 0x50
    lea  rsi, [rel handler]
    pv   trap_set
    mov  eax, ${LAPIC_BASE + 0xf0}
    mov  dword [rax], 0x1ff
    mov  ebx, 1                        ; bitmap: APIC 0
    xor  ecx, ecx
    xor  edx, edx
    mov  esi, 0x50                     ; ICR: fixed, vector 0x50
    mov  eax, 10                       ; SEND_IPI
    vmcall
    mov  r12, rax
    sti
    nop
    nop
    xor  edi, edi
    pv   shutdown
  handler:
    inc  qword [rel count]
    mov  rbx, [rel count]
    mov  [rdx - 0x30], rbx             ; RBX of the frame
    ret
    align 8
  count: dq 0`,
  );
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals([trace.final.registers["r12"], trace.final.registers["rbx"]], [1n, 1n]);
  assertEquals(trace.counts.injections, { "external-interrupt": 1 });
});

Deno.test("hybrid refuses an MSR that names no RAM with #GP, and reads back what it took", () => {
  const { r12, r13 } = registers(`
    mov  edi, 13
    lea  rsi, [rel protection]
    pv   trap_set
    xor  r12d, r12d
    mov  ecx, 0x4b564d01
    mov  eax, 0x7ffffff1
    xor  edx, edx
    wrmsr
    mov  eax, 0x50001
    wrmsr
    xor  eax, eax
    rdmsr
    mov  r13, rax
    jmp  end
  protection:
    inc  qword [rdx - 0x70]            ; R12 of the frame
    add  qword [rdx], 2
    ret
  end:`);
  assertEquals([r12, r13], [1n, 0x50001n]);
});

const TICKS = (end: string) => `
    mov  edi, 100000
    lea  rsi, [rel tick]
    pv   timer_periodic
  .wait:
    pv   wait
    cmp  dword [rel ticks], 50
    jb   .wait
    xor  edi, edi
    pv   shutdown
  tick:
    inc  dword [rel ticks]
    ${end}
    ret
  ticks: dd 0`;

Deno.test("hybrid ends interrupts by PV EOI, without an exit", () => {
  const trace = runProgram("hybrid", TICKS(""));
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const ends = accesses(trace).filter((a) => a.kind === "mmio" && a.address === LAPIC_EOI);
  assertEquals(ends.length, 0);
  assert((trace.counts.injections["external-interrupt"] ?? 0) >= 50);

  const full = runProgram("full-hw", TICKS(""));
  assertLess(trace.counts.exits.total, full.counts.exits.total);
});

Deno.test("hybrid renews its offer after every exit, and a write to the APIC ends the interrupt all the same", () => {
  // The library's timer ends its interrupt before anything else, so this one comes by a vector of its own.
  const trace = runProgram(
    "hybrid",
    `
    %include "lib/traps.inc"
    mov  edi, 0x50
    lea  rsi, [rel handler]
    pv   trap_set
    mov  eax, ${LAPIC_BASE + 0xf0}
    mov  dword [rax], 0x1ff
    mov  ecx, 0x4b564d04               ; PV EOI
    mov  eax, 0x50001
    xor  edx, edx
    wrmsr
    mov  eax, ${LAPIC_BASE + 0x300}
    mov  dword [rax], 0x40050          ; ICR: to self, vector 0x50
    sti
    nop
    nop
    xor  edi, edi
    pv   shutdown
  handler:
    push rdx
    mov  r8d, [0x50000]                ; offered
    mov  eax, 0
    cpuid                              ; an exit
    mov  r9d, [0x50000]                ; offered anew
    mov  eax, ${LAPIC_EOI}
    mov  dword [rax], 0
    mov  r10d, [0x50000]
    shl  r9, 8
    shl  r10, 16
    or   r8, r9
    or   r8, r10
    pop  rdx
    mov  [rdx + frame_rbx], r8
    ret`,
  );
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  assertEquals(trace.final.registers["rbx"], 0x000101n);
});

Deno.test("hybrid holds an interrupt back until the guest lowers its task priority, and watches CR8 only then", () => {
  const trace = runProgram(
    "hybrid",
    `
    mov  edi, 0x50
    lea  rsi, [rel handler]
    pv   trap_set
    mov  eax, ${LAPIC_BASE + 0xf0}
    mov  dword [rax], 0x1ff
    mov  rax, 7
    mov  cr8, rax                      ; no exit
    mov  eax, ${LAPIC_BASE + 0x80}
    mov  r12d, [rax]                   ; TPR: 0x70
    sti
    mov  eax, ${LAPIC_BASE + 0x300}
    mov  dword [rax], 0x40050          ; ICR: to self, vector 0x50
    nop
    mov  rbx, [rel count]
    mov  rax, 4
    mov  cr8, rax                      ; an exit, and the interrupt
    nop
    mov  rcx, [rel count]
    xor  eax, eax
    mov  cr8, rax                      ; no exit any more
    xor  edi, edi
    pv   shutdown
  handler:
    inc  qword [rel count]
    mov  eax, ${LAPIC_EOI}
    mov  dword [rax], 0
    ret
    align 8
  count: dq 0`,
  );
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const { r12, rbx, rcx } = trace.final.registers;
  assertEquals([r12, rbx, rcx], [0x70n, 0n, 1n]);
  assertEquals(trace.counts.exits.kinds["cr-access"], 1);
});

Deno.test("hybrid keeps a task priority that is written to the APIC's page, and shows it in CR8", () => {
  const trace = runProgram(
    "hybrid",
    `
    mov  edi, ${LAPIC_BASE + 0x80}
    mov  dword [rdi], 0x53
    mov  rbx, cr8
    mov  ecx, [rdi]
    mov  rax, 3
    mov  cr8, rax
    mov  edx, [rdi]
    mov  dword [rdi], 0
    mov  rsi, cr8
    hlt`,
  );
  const { rbx, rcx, rdx, rsi } = trace.final.registers;
  assertEquals([rbx, rcx, rdx, rsi], [5n, 0x53n, 0x30n, 0n]);
});

Deno.test("hybrid tells time by the shared clock, which leaves no more once it is set up", () => {
  const trace = runProgram(
    "hybrid",
    `
    pv   time_now
    mov  r12, rax
    mov  ecx, 1000
  .more:
    pv   time_now
    cmp  rax, r12
    jb   bad
    mov  r12, rax
    dec  ecx
    jnz  .more
    xor  edi, edi
    pv   shutdown
  bad:
    mov  edi, 1
    pv   shutdown`,
  );
  assertEquals(trace.end, { kind: "shutdown", code: 0 });
  const kinds = { cpuid: 2, "msr-write": 1, io: 1 };
  assertEquals(trace.counts.exits, { total: 4, kinds });
  assertEquals(exits(trace, "msr-write").map(({ detail }) => detail.msr), [0x4b564d01]);
});

Deno.test("hybrid notifies once for as much as a ring holds", () => {
  const trace = runProgram(
    "hybrid",
    `
    lea  rsi, [rel text]
    mov  ecx, 4096
    pv   console_write
    xor  edi, edi
    pv   shutdown
  text: times 4096 db 'x'`,
  );
  assertEquals(trace.console.length, 4096);
  assertEquals(trace.counts.accesses["queue-notify"], 1);
});
